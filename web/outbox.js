// What goes out. A message is on the screen when the room sends it back, and until then it waits here: what the room did not
// take, or what was lost with a connection, goes back into the box.

import { emptyBox, expectMove, focusBox, giveBack, hint, isBoxEmpty } from './composer.js';
import { awaitEcho, isOpen, send } from './link.js';
import { commandOf } from './text.js';
import { followEnd } from './timeline.js';

// `sent` has not come back yet, and of `doubtful` the connection broke before it could: it may or may not have arrived.
// `command` is the last command, unless a message was sent after it.
const outbox = { sent: [], doubtful: [], command: '' };

// Sends what is in the box as it is. Until we are connected it stays in the box; it is never queued, since minutes later it
// may be out of place.
export function submit(text) {
  if (!isOpen()) {
    hint('too-early');
    return;
  }
  send(text);
  remember(text);
  emptyBox();
  if (commandOf(text) === 'join') expectMove();
  hint();
  followEnd();
  focusBox();
}

// A message of ours has come back. Messages do so in the order in which they were sent; `isPast`: with the past, so it was
// sent by a connection before this one.
export function cameBack(isPast) {
  (isPast ? outbox.doubtful : outbox.sent).shift();
}

// The connection is gone. Whether what was sent has arrived, the past that the next connection brings will tell.
export function connectionDropped() {
  outbox.doubtful.push(...outbox.sent);
  Object.assign(outbox, { sent: [], command: '' });
}

export function isAnythingDoubtful() {
  return outbox.doubtful.length > 0;
}

// The past is on the screen: what has not come back with it never arrived. Returns whether there was any.
export function giveBackLost() {
  const lost = outbox.doubtful;
  outbox.doubtful = [];
  if (lost.length > 0) giveBack(lost, 'undelivered');
  return lost.length > 0;
}

// We have gone to another room. What was sent in the one before does not come back here.
export function forgetSent() {
  outbox.sent = [];
}

// An error has come. It is about a message, or `about` is a pattern for the commands it may be about. What was refused goes
// back to its writer to be bettered.
export function refused(about) {
  if (outbox.command && about?.test(commandOf(outbox.command)) && isBoxEmpty()) giveBack([outbox.command], 'not-taken');
  if (!about && !outbox.command && outbox.sent.length > 0) giveBack([outbox.sent.shift()], 'not-taken');
  outbox.command = '';
}

// Only messages can be waited for: a command does not come back. "//x" is the message "/x".
function remember(text) {
  const isCommand = commandOf(text) !== null;
  outbox.command = isCommand ? text : '';
  if (isCommand) return;
  outbox.sent.push(text);
  awaitEcho();
}
