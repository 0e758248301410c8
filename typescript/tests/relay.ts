import net from "node:net";

/** A relay between client and proxy that can lose an answer. */
export interface Relay {
  /** Where it listens, host:port. */
  address: string;
  /** How many connections were cut. */
  lost: number;
  /** How many connections there were. */
  connections: number;
  close(): Promise<void>;
}

/** Passes bytes on. A connection ends instead of passing on what the proxy sends when lose says so. */
export async function relay(to: string, lose: (relay: Relay) => Promise<boolean>): Promise<Relay> {
  const { hostname, port } = new URL(`http://${to}`);
  const sockets = new Set<net.Socket>();
  const server = net.createServer(async (client) => {
    self.connections++;
    const proxy = net.connect(Number(port), hostname);
    const end = () => [client, proxy].forEach((socket) => socket.destroy());
    for (const socket of [client, proxy]) sockets.add(socket.on("error", end).on("close", end));
    client.pipe(proxy);
    try {
      for await (const data of proxy) {
        if (await lose(self)) {
          self.lost++;
          break;
        }
        client.write(data);
      }
    } catch {
      // The connection ended.
    }
    end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const self: Relay = {
    address: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    lost: 0,
    connections: 0,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return self;
}
