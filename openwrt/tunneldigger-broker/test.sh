#!/bin/sh
# test.sh PACKAGE VERSION: run by the feed's CI on the target, after installation.
case $1 in
tunneldigger-broker)
	tunneldigger-broker --version | grep -F "$2" || exit 1
	# Nothing is enabled in the default configuration, and nothing is wrong.
	tunneldigger-broker check
	;;
tunneldigger-client)
	tunneldigger-client --version | grep -F "$2"
	;;
esac
