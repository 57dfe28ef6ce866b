// A chat room on Node.js with `ws`. It broadcasts as the README of ws says: for each message, send() to every open client.
// The text is encoded as JSON once for all. Compression is off, which is what ws advises and its default.
import { WebSocket, WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, backlog: 4096, perMessageDeflate: false });
let tourists = 0;

server.on('listening', () => console.error(`listening on http://127.0.0.1:${server.address().port}/`));
server.on('connection', (socket) => {
  const name = `Tourist ${++tourists}`;
  socket.on('error', () => socket.terminate());
  socket.on('message', (data) => {
    const event = JSON.stringify({ mess: data.toString(), name });
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(event);
    }
  });
});
