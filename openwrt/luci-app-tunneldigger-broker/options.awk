# options.awk: makes a module for LuCI of the tables of options in files/doc/configuration.md, so that the settings have
# every option, with its default, range and help: { SECTION: [[NAME, whether it is a list, DEFAULT, RANGE, HELP] ...] }.
BEGIN {
	print "'use strict';\n'require baseclass';\n"
	print "return baseclass.extend({"
}

# string TEXT: as one of JavaScript's, without what is only for a page.
function string(text) {
	gsub(/ ?See \[[^]]*\]\([^)]*\)\.?/, "", text)
	while (match(text, /\[[^]]*\]\([^)]*\)/)) {
		link = substr(text, RSTART, RLENGTH)
		sub(/\]\(.*/, "", link)
		text = substr(text, 1, RSTART - 1) substr(link, 2) substr(text, RSTART + RLENGTH)
	}
	gsub(/`/, "", text)
	gsub(/\\/, "&&", text)
	gsub(/'/, "\\'", text)
	return "'" text "'"
}

/^## / {
	if (section != "") print "\t],"
	section = ""
}

/^## config / {
	section = $3
	print "\t" section ": ["
}

section != "" && /^\| `/ {
	split($0, cell, / *\| */)
	name = cell[2]; list = sub(/ \(list\)/, "", name); gsub(/`/, "", name)
	help = string(cell[5])
	printf "\t\t['%s', %s, %s, %s, %s],\n", name, list ? "true" : "false", string(cell[3]), string(cell[4]), help == "''" ? help : "_(" help ")"
}

END { print "});" }
