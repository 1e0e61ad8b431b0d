// Package web shows a broker to whoever has a browser, and to collectors of metrics: a page, the status as JSON, the
// metrics. It asks the broker over its socket for commands, or over a [Relay], which lets nothing but status pass.
//
// What strangers chose, the UUIDs, is data everywhere: the page makes text of it and has no other way.
package web
