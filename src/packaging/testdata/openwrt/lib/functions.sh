#!/bin/sh
# shellcheck shell=dash disable=SC2034
# The part of OpenWrt's /lib/functions.sh and of the program uci that the scripts use, for files in $ROOT/etc/config
# without quotes in values. A section without name is called cfg and its number.

config_load() {
	CONFIG_SECTIONS=
	# shellcheck disable=SC2016
	eval "$(awk -v q="'" '
		$1 == "config" {
			sections++
			section = $3; gsub(/[\047"]/, "", section)
			if (section == "") section = "cfg" sections
			type = $2; gsub(/[\047"]/, "", type)
			print "CONFIG_SECTIONS=\"$CONFIG_SECTIONS " section "\"; CONFIG_" section "_TYPE=" type
		}
		$1 == "option" || $1 == "list" {
			value = $0
			sub(/^[ \t]*(option|list)[ \t]+[^ \t]+[ \t]+/, "", value); sub(/[ \t]+#.*$/, "", value)
			gsub(/[\047"]/, "", value)
			name = "CONFIG_" section "_" $2
			print name "=" q value q
		}
	' "$ROOT/etc/config/$1")"
}

config_foreach() {
	local function="$1" type="$2" section found
	shift 2
	for section in $CONFIG_SECTIONS; do
		eval "found=\$CONFIG_${section}_TYPE"
		[ "$found" != "$type" ] || "$function" "$section" "$@"
	done
}

config_get() {
	eval "$1=\${CONFIG_$2_$3:-\$4}"
}

config_get_bool() {
	local value
	config_get value "$2" "$3" "$4"
	case $value in
	1 | on | true | yes | enabled) value=1 ;;
	0 | off | false | no | disabled) value=0 ;;
	*) value=$4 ;;
	esac
	eval "$1=\$value"
}

uci() {
	local line
	[ "$1" != -q ] || shift
	case $1 in
	batch) while read -r line; do eval "uci $line"; done ;;
	show) cat "$ROOT/etc/config/$2" ;;
	commit) [ -e "$ROOT/etc/config/$2" ] ;;
	*) uci_edit "$1" "$2" ;;
	esac
}

# uci_edit get|set|delete PACKAGE.SECTION[.OPTION][=VALUE]
uci_edit() {
	local path="${2%%=*}" value="${2#*=}" file out status
	file="$ROOT/etc/config/${path%%.*}"
	path="${path#*.}"
	[ -e "$file" ] || return 1
	out=$(awk -v action="$1" -v path="$path" -v value="$value" -v q="'" '
		BEGIN { n = split(path, part, "."); section = part[1]; option = part[2] }
		function add() { print "\toption " option " " q value q; done = 1 }
		/^config/ {
			sections++
			here = $3; gsub(/[\047"]/, "", here)
			if (here == "") here = "cfg" sections
			inside = here == section
			if (inside) found = 1
			if (inside && action == "get" && n == 1) { print $2; exit }
			if (action != "get") print
			if (inside && action == "set" && n == 2) add()
			next
		}
		inside && action == "get" && $2 == option { gsub(/[\047"]/, "", $3); print $3; exit }
		inside && action != "get" && ($1 == "option" || $1 == "list") && $2 == option { next }
		action != "get"
		END { if (action == "set" && n == 1 && !found) print "\nconfig " value " " q section q }
	' "$file")
	status=$?
	if [ "$1" = get ]; then
		[ -n "$out" ] && echo "$out"
	else
		echo "$out" >"$file"
	fi
	return $status
}
