// The same events on the Socket.IO server of Node, started the way its documentation does.
import { createServer } from "node:http";
import { Server } from "socket.io";

const httpServer = createServer();
const io = new Server(httpServer, { cors: { origin: "*" } });

io.on("connection", (socket) => {
  socket.on("echo", (value, acknowledge) => acknowledge(value));
  socket.on("bcast", (value) => io.emit("bcast", value));
  socket.on("join", (room, acknowledge) => {
    socket.join(room);
    acknowledge("ok");
  });
  socket.on("room", (room, value) => io.to(room).emit("room", value));
});

httpServer.listen(Number(process.argv[2]), "127.0.0.1");
