# Fetch what is new with Mail::POP3Client, by APOP.
use strict;
use warnings;
use Mail::POP3Client;

my ($port, $user, $secret, $how, $dir, $ids) = @ARGV;
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
