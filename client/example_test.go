package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"testing"
	"time"

	"discordproxy/client"
	"discordproxy/client/clienttest"

	pb "discordproxy/gen/discord_api"
)

// proxy is what the examples call.
var proxy *clienttest.Proxy

func TestMain(m *testing.M) {
	var err error
	if proxy, err = clienttest.New(client.WithTimeout(time.Minute)); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	proxy.Close()
	os.Exit(code)
}

func Example() {
	c, err := client.New(proxy.Address, client.WithTimeout(30*time.Second), client.WithRetries(10))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	sent, err := c.SendChannelMessage(context.Background(), &pb.SendChannelMessageRequest{ChannelId: 1100000000000000010, Content: "hello"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sent.GetMessage().GetContent())
	// Output: hello
}

func ExampleHTTPError() {
	_, err := proxy.SendDirectMessage(context.Background(), &pb.SendDirectMessageRequest{UserId: 1100000000000000006, Content: "hi"})
	if errors.Is(err, &client.HTTPError{Code: 50007}) {
		fmt.Println("the user takes no direct messages")
	}

	_, err = proxy.SendChannelMessage(context.Background(), &pb.SendChannelMessageRequest{ChannelId: 1100000000000000010, Embed: &pb.Embed{Description: "x", Url: "nonsense"}})
	if refused, ok := errors.AsType[*client.HTTPError](err); ok {
		fmt.Println(refused.Status, refused.Code, refused.Errors[0].Field)
	}
	// Output:
	// the user takes no direct messages
	// 400 50035 embeds.0.url
}

func ExampleAll() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, text := range []string{"one", "two"} {
		if _, err := proxy.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{ChannelId: 1100000000000000011, Content: text}); err != nil {
			log.Fatal(err)
		}
	}
	for response, err := range client.All(proxy.ListChannelMessages(ctx, &pb.ListChannelMessagesRequest{ChannelId: 1100000000000000011})) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(response.GetMessage().GetContent())
	}
	// Output:
	// two
	// one
}
