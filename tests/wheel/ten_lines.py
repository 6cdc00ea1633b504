from flask import Flask
from flask_socketio import SocketIO, send

app = Flask(__name__)
socketio = SocketIO(app)


@socketio.on("message")
def answer(text):
    send(f"You said: {text}")


if __name__ == "__main__":
    socketio.run(app)
