// Command discordproxymessage sends a message through a running Discord Proxy.
package main

import (
	"os"

	"discordproxy/cli"
	"discordproxy/cli/message"
)

func main() { os.Exit(cli.Main(message.Command)) }
