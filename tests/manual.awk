# README to a manual page: its date is in the first line. The text begins with
# the first heading, a line of capitals at the margin. It stands four columns in
# and is filled; what stands further in is shown as it is.
NR == 1 {
	match($0, /[0-9]+-[0-9]+-[0-9]+/)
	print ".TH POP3D 8 " substr($0, RSTART, RLENGTH)
}
!begun && !/^[A-Z][A-Z ]*$/ {
	next
}
{
	# not by gsub: awks differ in what a backslash means there
	begun = 1
	line = ""
	for (i = 1; i <= length($0); i++) {
		c = substr($0, i, 1)
		line = line (c == "\\" ? "\\e" : c == "-" ? "\\-" : c)
	}
	$0 = line
}
/^[A-Z][A-Z ]*$/ {
	if (literal)
		print ".fi"
	literal = 0
	blank = 0
	print ".SH " $0
	headed = 1
	next
}
/^$/ {
	blank = !headed
	next
}
{
	deep = /^        /
	if (literal && !deep)
		print ".fi"
	if (blank)
		print ".PP"
	if (!literal && deep)
		print ".nf"
	literal = deep
	blank = headed = 0
	if (deep)
		sub(/^    /, "")
	else
		sub(/^ +/, "")
	if (/^[.']/)
		printf "\\&"
	print
}
