<?php
// Fetch all messages with the imap functions, as lines that end in LF.
[, $port, $user, $secret, $how, $dir, , $security] = $argv;
$tls = ['tls' => '/ssl/novalidate-cert', 'stls' => '/tls/novalidate-cert'];
$flags = $tls[$security] ?? '/notls';
$box = imap_open('{localhost:' . $port . '/pop3' . $flags . '}INBOX', $user,
    $secret, 0, 1);
if ($box === false) {
	print_r(imap_errors());
	exit(1);
}
for ($i = 1; $i <= imap_num_msg($box); $i++) {
	$text = imap_fetchheader($box, $i, FT_PREFETCHTEXT) .
	    imap_body($box, $i);
	file_put_contents("$dir/$i", str_replace("\r\n", "\n", $text));
	if ($how === 'delete')
		imap_delete($box, (string)$i);
}
$good = imap_close($box, $how === 'delete' ? CL_EXPUNGE : 0);
// It warns of PLAIN without TLS, and of mailboxes that are empty.
$errors = preg_grep('/^(SECURITY PROBLEM|Mailbox is empty)/',
    imap_errors() ?: [], PREG_GREP_INVERT);
print_r($errors);
exit($good && !$errors ? 0 : 1);
