//go:build router

package main

import (
	"errors"

	"tunneldigger/src/config"
)

// What only people at servers look at takes 80 kB, for which a router's flash has better uses: OpenWrt's package is built with
// the tag router.
var errRouter = errors.New("--watch and --wait are not in the program for routers: repeat the command by hand, or by watch(1)")

const watchEvery = 2

// Files of the Python broker's server installation are converted on servers.
func (o *options) propose(*config.Config) {}

func (o *options) watch() int        { return o.fault(errRouter) }
func (o *options) awaitDrained() int { return o.fault(errRouter) }
