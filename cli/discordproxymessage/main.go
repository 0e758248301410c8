// Command discordproxymessage is the command-line client of Discord Proxy: it sends
// messages, calls any method of the API, and shows events and the state of a running
// server.
package main

import (
	"os"

	"discordproxy/cli"
	"discordproxy/cli/message"
)

func main() { os.Exit(cli.Main(message.Command)) }
