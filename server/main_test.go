package server_test

import (
	"testing"

	"discordproxy/server/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
