// A chat room on Bun. It broadcasts as Bun's documentation says: every socket subscribes to one topic, and server.publish()
// sends to the topic from native code. All settings are the defaults.
const server = Bun.serve<{ name: string }>({
  hostname: '127.0.0.1',
  port: 0,
  fetch(request, server) {
    if (server.upgrade(request, { data: { name: `Tourist ${++tourists}` } })) return;
    return new Response('a WebSocket, please', { status: 426 });
  },
  websocket: {
    open(socket) {
      socket.subscribe('lobby');
    },
    message(socket, text) {
      server.publish('lobby', JSON.stringify({ mess: String(text), name: socket.data.name }));
    },
  },
});
let tourists = 0;

console.error(`listening on http://127.0.0.1:${server.port}/`);
