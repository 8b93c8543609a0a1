# Every method of Net::POP3 against a server with seven known messages.
use strict;
use warnings;
use Net::POP3;

my ($plain, $apop, $user, $secret, $directory) = @ARGV;
my @messages = map {
	open my $f, '<:raw', "$directory/$_" or die;
	local $/;
	my $text = <$f>;
	$text;
} 1 .. 7;
my @sizes = map { length($_) + ($_ =~ tr/\n//) } @messages;
my $total = 0;
$total += $_ for @sizes;

sub ok
{
	my ($what, $true) = @_;
	die "not so: $what\n" if !$true;
}

sub connected
{
	my $p = Net::POP3->new('127.0.0.1', Port => $_[0], Timeout => 30);
	ok('connected', $p);
	return $p;
}

my $p = connected($plain);
ok('banner', $p->banner =~ /ready/);
ok('host', $p->host eq '127.0.0.1');
ok('can inet6 or not', defined Net::POP3->can_inet6);
my $capa = $p->capa;
ok('capa', exists $capa->{TOP} && exists $capa->{UIDL} &&
    $capa->{SASL} eq 'PLAIN');
ok('capabilities', exists $p->capabilities->{PIPELINING});
ok('no TLS here', !eval { $p->starttls });
$p = connected($plain);
ok('wrong password', !defined $p->login($user, 'wrong'));
ok('its answer', $p->message =~ /^\[AUTH\] /);
ok('user', $p->user($user));
ok('pass', $p->pass($secret) == 7);
my ($n, $octets) = $p->popstat;
ok('popstat', $n == 7 && $octets == $total);
my $list = $p->list;
ok('list', $list->{$_} == $sizes[$_ - 1]) for 1 .. 7;
ok('list of one', $p->list(3) == $sizes[2]);
my $ids = $p->uidl;
ok('uidl', scalar(keys %{{ reverse %$ids }}) == 7);
ok('uidl of one', $p->uidl(2) eq $ids->{2});
for my $i (1 .. 7) {
	ok("get $i", join('', @{$p->get($i)}) eq $messages[$i - 1]);
}
my $f = $p->getfh(2);
my $text = '';
while (defined(my $line = <$f>)) {
	$line =~ s{^\.}{};	# the module leaves that to its user
	$text .= $line;
}
ok('getfh', $text eq $messages[1]);
my ($header, $body) = split /\n\n/, $messages[4], 2;
my @lines = split /^/, $body;
ok('top', join('', @{$p->top(5, 2)}) eq "$header\n\n$lines[0]$lines[1]");
ok('top of a header', join('', @{$p->top(5)}) eq "$header\n\n");
ok('last is refused', !defined $p->last);
ok('delete', $p->delete(1));
ok('deleted', !defined $p->get(1));
$p->reset;	# what it returns says nothing
ok('reset', $p->ok);
ok('there again', defined $p->get(1));
ok('ping is refused', !$p->ping($user));
ok('no message 8', !defined $p->get(8));
ok('quit', $p->quit);

$p = connected($plain);
ok('login', $p->login($user, $secret) == 7);
$p->delete(1);
# Leaving without QUIT: the object takes its marks back.
undef $p;

$p = connected($plain);
if (eval { require Authen::SASL; require MIME::Base64; 1 }) {
	ok('auth', $p->auth($user, $secret));
} else {
	ok('login', $p->login($user, $secret) == 7);
}
ok('nothing was lost', ($p->popstat)[0] == 7);
$p->quit;

if (eval { require Digest::MD5; 1 }) {
	$p = connected($apop);
	ok('apop', $p->apop($user, $secret) == 7);
} else {
	$p = connected($plain);
	ok('login', $p->login($user, $secret) == 7);
}
$p->delete($_) for 1 .. 5;
ok('quit', $p->quit);

$p = connected($plain);
ok('login', $p->login($user, $secret) == 2);
$ids = { 1 => $ids->{6}, 2 => $ids->{7} };
ok('the same ids', $p->uidl($_) eq $ids->{$_}) for 1, 2;
$p->quit;
