# JavaMail, with pipelining and AUTH PLAIN.

jars=/usr/share/java
has_all javamail java javac || return
[ -e $jars/javax.mail.jar ] || { skip 'javax.mail: not installed'; return; }
serve || return
user_dir javamail

jars=$jars/javax.mail.jar:$jars/javax.activation.jar
check 'the client compiles' javac -d . -cp $jars "$tests/Fetch.java"
program="java -Xshare:auto -XX:TieredStopAtLevel=1 -cp $PWD:$jars Fetch"
poll=by_program these=$made secure='stls tls'
course javamail
