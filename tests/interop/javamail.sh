# JavaMail, with pipelining and AUTH PLAIN.

prepare java javac || return
jars=/usr/share/java
[ -e $jars/javax.mail.jar ] || { skip 'javax.mail: not installed'; return; }
jars=$jars/javax.mail.jar:$jars/javax.activation.jar
check 'the client compiles' javac -d . -cp $jars "$tests/Fetch.java"
program="java -Xshare:auto -XX:TieredStopAtLevel=1 -cp $PWD:$jars Fetch"
poll=by_program these=$made secure='stls tls'
course javamail
