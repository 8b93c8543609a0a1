# README to a manual page: from the first heading on, a line of capitals at the
# margin. Text stands four columns in, and is filled; what stands further in is
# shown as it is.
BEGIN {
	print ".TH POP3D 8"
}
!begun && !/^[A-Z][A-Z ]*$/ {
	next
}
{
	begun = 1
	gsub(/\\/, "\\\\e")
	gsub(/-/, "\\\\-")
}
/^[A-Z][A-Z ]*$/ {
	if (literal)
		print ".fi"
	literal = 0
	print ".SH " $0
	next
}
/^$/ {
	blank = 1
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
	blank = 0
	if (deep)
		sub(/^    /, "")
	else
		sub(/^ +/, "")
	if (/^[.']/)
		printf "\\&"
	print
}
