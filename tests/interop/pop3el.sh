# Emacs' pop3.el, without a terminal.

prepare emacs perl || return

cat >fetch.el <<'END'
(require 'pop3)
(require 'nsm)
(defun env (name) (getenv (concat "POP3_" name)))
(setq pop3-mailhost "localhost"
      pop3-port (string-to-number (env "PORT"))
      pop3-maildrop (env "USER")
      pop3-password (env "PASSWORD")
      pop3-leave-mail-on-server (equal (env "HOW") "keep")
      pop3-uidl-file (env "IDS"))
;; What a user would have said when asked.
(if (env "PLAIN")
    (setq nsm-permanent-host-settings
	  `((:id ,(nsm-id "localhost" pop3-port)
		 :conditions (:unencrypted)))))
(pop3-movemail (env "MBOX"))
END

by_pop3el()
{
	rm -f "$1.mbox"
	as_user $plain POP3_PORT=$port POP3_USER="$1" POP3_PASSWORD="$secret" \
	    POP3_HOW="$2" POP3_IDS="$PWD/$1.ids" POP3_MBOX="$PWD/$1.mbox" \
	    timeout $patience emacs -Q --batch -l "$PWD/fetch.el" && status=0 ||
	    status=$?
	[ ! -e "$1.mbox" ] || apart "$1.mbox" "got/$1" \
	    'X-UIDL|Content-Length' ''
	return $status
}

# Where it is to delete, it asks for no unique-ids.
poll=by_pop3el these=$made forgets=deleting
plain=
fill pop3elplain $few
check 'it refuses TCP without TLS, where nobody can be asked' \
    polls '' pop3elplain keep
plain=POP3_PLAIN=1
course pop3el
