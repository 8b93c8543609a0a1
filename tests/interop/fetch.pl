# Fetch what is new with one of Perl's modules, by APOP.
use strict;
use warnings;

my ($module, $port, $user, $secret, $how, $dir, $ids) = @ARGV;
my %seen;
if (open my $f, '<', $ids) {
	chomp(my @lines = <$f>);
	@seen{@lines} = ();
}
open my $seen, '>>', $ids or die;
my $n = () = glob "$dir/*";

# filed id lines: written before it is deleted.
sub filed
{
	my ($id, $text) = @_;
	$n++;
	open my $f, '>:raw', "$dir/$n" or die;
	print $f $text;
	close $f or die;
	print $seen "$id\n";
	$seen->flush;
}

sub with_pop3client
{
	my $p = Mail::POP3Client->new(HOST => 'localhost', PORT => $port,
	    USER => $user, PASSWORD => $secret, TIMEOUT => 30,
	    AUTH_MODE => 'APOP');
	$p->Count >= 0 && $p->Alive or die 'no login: ', $p->Message, "\n";
	for my $i (1 .. $p->Count) {
		my $id = (split ' ', $p->Uidl($i))[1];
		if (!exists $seen{$id}) {
			my $text = $p->Retrieve($i);
			defined $text or die "the connection has ended\n";
			$text =~ s/\r\n/\n/g;
			filed($id, $text);
		}
		$p->Delete($i) or die if $how eq 'delete';
	}
	$p->Close or die "not deleted\n";
}

# It takes the end of a connection for that of a message, connects again of
# itself, and leaves out a last line that is empty.
sub with_mail_box
{
	my $p = Mail::Transport::POP3->new(hostname => 'localhost',
	    port => $port, username => $user, password => $secret,
	    authenticate => 'APOP') or die "no login\n";
	my @ids = $p->ids;
	for my $id (grep { !exists $seen{$_} } @ids) {
		my $text = join '', @{$p->message($id)};
		my $missing = $p->messageSize($id) - length $text;
		$missing == 0 || $missing == 2 or die "not all has come\n";
		$text =~ s/\r\n/\n/g;
		filed($id, $text . ($missing ? "\n" : ''));
	}
	$p->deleted(1, @ids) if $how eq 'delete';
	$p->disconnect or die "not deleted\n";
}

eval "require $module" or die $@;
$module eq 'Mail::POP3Client' ? with_pop3client() : with_mail_box();
