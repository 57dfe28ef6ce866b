// Notifications of the browser, for what is meant for one: off until asked for, and never more than a few at once.

import { fileUrl } from './address.js';
import { keep, recall } from './storage.js';
import { clipped } from './text.js';
import { words } from './words.js';

const MAX_SHOWN = 3; // each message has its own; what comes beyond these is counted in one more
const MAX_BODY_CHARS = 200;
const MORE_EVERY_MS = 5_000; // the one that counts is shown again no more often: it makes a sound each time

const shown = new Set();
const more = { count: 0, room: '', notification: null, timer: 0 };
let serial = 0;

export function mayNotify() {
  return recall('notify') === 'on' && window.Notification?.permission === 'granted';
}

// Switches them on or off, and says whether that could be. The browser is asked only when somebody has asked us: a question on
// arrival is refused, and rightly.
export async function allowNotifications(wanted) {
  keep('notify', wanted ? 'on' : '');
  if (!wanted) return true;
  const answer = window.Notification ? await Notification.requestPermission() : 'denied';
  if (answer !== 'granted') keep('notify', '');
  return answer === 'granted';
}

// A private message, or one that names the reader. A notification replaces the one before it with the same tag, and without a
// sound. So the tag says which message it is: in two tabs of one room, too, each message is told once.
export function notify({ kind, id, time, name, text }, room) {
  if (!mayNotify()) return;
  if (shown.size >= MAX_SHOWN) {
    countMore(room);
    return;
  }
  const title = kind === 'private' ? words('whisper-from', { name }) : `${name} · ${room}`;
  const which = id ?? `private ${(serial += 1)}`; // a private message has no id, and comes to one tab only
  const notification = show(title, { body: clipped(text, MAX_BODY_CHARS), tag: `${room} ${which} ${+time}` });
  if (!notification) return;
  shown.add(notification);
  notification.addEventListener('close', () => shown.delete(notification));
}

// The reader is here: all of it can be read in the room.
export function clearNotifications() {
  clearTimeout(more.timer);
  for (const notification of [...shown, more.notification]) notification?.close();
  shown.clear();
  Object.assign(more, { count: 0, notification: null, timer: 0 });
}

function countMore(room) {
  Object.assign(more, { count: more.count + 1, room });
  if (more.timer === 0) showMore();
}

function showMore() {
  const { count, room } = more;
  const title = words('notify-more', { n: count, room });
  more.notification = show(title, { tag: `${room} more`, renotify: true }) ?? more.notification;
  more.timer = setTimeout(() => {
    more.timer = 0;
    if (more.count > count) showMore();
  }, MORE_EVERY_MS);
}

function show(title, options) {
  try {
    const notification = new Notification(title, { ...options, icon: fileUrl('icon.svg') });
    notification.addEventListener('click', () => {
      window.focus();
      notification.close();
    });
    return notification;
  } catch {
    return null; // on phones a page may ask for permission but not notify by itself. The title still counts
  }
}
