// The page's main script: it joins the room whose address the page has, shows what is said there and sends what is typed.
//
// start() hands each module what it needs of the others. The wire is one rule: lines of text go out, JSON objects come in.
//
//   link.js      the connection to the server      events.js    what comes in, one handler for each type
//   arrival.js   coming into a room, the past      outbox.js    what goes out, and whether it came back
//   timeline.js  the room on the screen            composer.js  the box one types in
//   people.js    who is here                       settings.js  a name, a language, notifications
//   title.js     the words around the room         words.js     every sentence, in each language
//
// What they share is in room.js: the room as far as the page has seen it, and who we are in it.
//
// What others wrote reaches the page only through textContent. No function here takes HTML, so there is nothing to escape.

import { roomFromAddress } from './address.js';
import { awaitNoPast, nextAddress } from './arrival.js';
import {
  disableBox, focusBox, hint, insert, isBoxEmpty, prepareComposer, whisperTo,
} from './composer.js';
import { elements } from './elements.js';
import { prepareEmoji } from './emoji.js';
import { askWho, forgetQuestions, onFrame } from './events.js';
import { connect, isOpen, prepareLink, say, sayAlarm, send, setState } from './link.js';
import { connectionDropped, isAnythingDoubtful, submit } from './outbox.js';
import { namesToSuggest, preparePeople } from './people.js';
import { me, room } from './room.js';
import { prepareSettings } from './settings.js';
import { forgetRequest, prepareTimeline } from './timeline.js';
import { prepareTitle, showRoom } from './title.js';
import { prepareWords } from './words.js';

const page = elements('emoji', 'emoji-open', 'hint');

start();

function start() {
  prepareWords();
  preparePeople({ pickName: whisperTo, askWho });
  prepareTimeline({ wantOlder, pickName: (name) => name !== me.name && whisperTo(name) });
  prepareComposer({ submit, names: namesToSuggest, room: room.name });
  prepareEmoji(page['emoji-open'], page.emoji, insert, focusBox);
  prepareSettings();
  if (!window.WebSocket) {
    sayUnsupported();
    return;
  }
  prepareTitle();
  prepareConnection();
  connect();
}

function prepareConnection() {
  prepareLink({
    address: nextAddress,
    room: () => room.name,
    opened: () => page.hint.textContent && hint(isBoxEmpty() ? '' : 'can-send'),
    received: onFrame,
    dropped: onDropped,
    lost: () => isAnythingDoubtful() && hint('doubtful'),
    changed: showRoom,
    retried: focusBox, // the button vanishes: without this, the keyboard would be nowhere
  });
  window.addEventListener('popstate', () => moveTo(roomFromAddress()));
}

function onDropped() {
  awaitNoPast();
  connectionDropped();
  forgetQuestions();
}

// Back and forth through the rooms one has been in: the address has changed already.
function moveTo(name) {
  if (name === room.name) return;
  if (isOpen()) send(`/join ${name}`);
  else connect();
}

// Nothing is on the screen: then all there is, is older than what comes next.
function wantOlder(before = room.newest + 1) {
  if (isOpen()) send(`/history ${before}`);
  else forgetRequest();
}

function sayUnsupported() {
  setState('unsupported');
  showRoom();
  say('not-connected');
  disableBox(); // nothing that is typed here could ever be sent
  sayAlarm('unsupported');
}
