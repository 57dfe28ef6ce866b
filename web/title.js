// The words around the room: its name, the title of the page with what is unread, and the hint for a room in which nothing
// has been said.

import { roomUrl } from './address.js';
import { elements } from './elements.js';
import { linkState } from './link.js';
import { clearNotifications, notify } from './notify.js';
import { room } from './room.js';
import { putAttribute } from './words.js';

const page = elements('room', 'text', 'empty', 'example');
let unread = 0;

export function prepareTitle() {
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    unread = 0;
    showTitle();
    clearNotifications();
  });
}

// Somebody who looks elsewhere is told: by the title of everything, by a notification of what is meant for them.
export function announce(line) {
  if (!line.isNews || !document.hidden) return;
  unread += 1;
  showTitle();
  if (line.mention || line.kind === 'private') notify(line, room.name);
}

export function showRoom() {
  page.room.textContent = room.name;
  const key = { open: 'message-to', connecting: 'connecting' }[linkState()] ?? 'not-connected';
  putAttribute(page.text, 'placeholder', key, { room: room.name });
  page.example.textContent = `websocat ${roomUrl(room.name)}`;
  showTitle();
}

// The hint waits for the welcome, which knows whether a past is about to follow.
export function showEmpty() {
  page.empty.hidden = room.spoken || !room.welcomed || room.last > 0;
}

function showTitle() {
  document.title = `${unread > 0 ? `(${unread}) ` : ''}${room.name} · roomd`;
}
