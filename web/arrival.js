// Coming into a room: the address that is asked for, the welcome, the past that follows it, and what is given up when the past
// does not join on to what is on the screen.

import { pathOf, roomFromAddress, roomUrl } from './address.js';
import { hint, isBoxEmpty, limitMessages, moveDraft } from './composer.js';
import { elements } from './elements.js';
import { connect, isOpen } from './link.js';
import { forgetSent, giveBackLost, isAnythingDoubtful } from './outbox.js';
import { forgetSpeakers, limitPeople, setPeople } from './people.js';
import { forgetTags, me, room } from './room.js';
import { showSecret } from './secret.js';
import { showMyName } from './settings.js';
import { asText } from './text.js';
import { addSystem, clearTimeline, learnPast, setPast } from './timeline.js';
import { after, cancel, isSet } from './timers.js';
import { showEmpty, showRoom } from './title.js';

const PAST_MS = 2_000; // the past follows the welcome at once; after this long there is no more of it to come

// Away for longer than the screen has lines: what is missed is not fetched, since it could not be shown.
const MOST_MISSED = 2_000;

// Why we have to start over, as the reset says, and what the reader is told.
const RESET_NOTES = new Map([['gone', 'reset'], ['unknown', 'reset-epoch'], ['epoch', 'reset-epoch'], ['unreadable', 'reset-unreadable']]);

const page = elements('view');

// Where to connect to: with the name we had, and from where we have read, so the stream goes on as if nothing had happened.
export function nextAddress() {
  // Somebody may have gone back to another room meanwhile, or have been on the way there when the connection broke.
  if (roomFromAddress() !== room.name) enterRoom(roomFromAddress());
  showSecret();
  const query = new URLSearchParams();
  if (me.wanted) query.set('name', me.wanted);
  if (room.newest > 0) query.set('since', room.epoch ? `${room.epoch}-${room.newest}` : room.newest);
  me.asking = me.wanted !== '';
  return [roomUrl(room.name), query].filter(String).join('?');
}

// The first event of a connection; or the answer to /join, and then the address follows, so that it can be copied and gone
// back from.
export function onWelcome(event) {
  const before = me.name;
  const seen = Math.max(room.newest, room.last); // `last` is higher where ids have jumped and nobody has spoken since
  const again = arriveIn(event);
  if (again && room.newest > 0 && room.last - seen > MOST_MISSED) {
    startOver('away');
    connect();
    return;
  }
  me.all.add(me.name);
  if (me.name === me.wanted) me.asking = false;
  showMyName();
  limitMessages(event.limits?.message_bytes);
  limitPeople(event.limits?.presence_members);
  setPeople(event.users, event.online, me.name);

  if (again && me.name !== before) addSystem('back', { name: me.name });
  showEmpty();
  awaitPast();
}

// What we have seen does not join on to what is kept: the newest messages follow, as if we had just come.
export function onReset(event) {
  const note = RESET_NOTES.get(event.reason) ?? 'reset';
  if (room.newest === 0) { // the welcome said so already
    if (room.note === 'reset') room.note = note;
    return;
  }
  startOver(note);
  if (Number.isSafeInteger(event.last)) room.last = event.last;
  room.first = room.last;
  awaitPast();
}

// Another event has come. If the past was still to come, this may have been the end of it.
export function noticePast() {
  if (isSet('past') && room.newest >= room.last && !isAnythingDoubtful()) onPastOver();
}

export function awaitNoPast() {
  cancel('past');
}

// Returns whether we have been in this room before.
function arriveIn(event) {
  me.name = event.name;
  me.tag = asText(event.tag);
  const last = Number.isSafeInteger(event.last) ? event.last : room.newest;
  const name = asText(event.room) || room.name;
  if (name !== room.name) enterRoom(name);
  moveDraft(name); // where one is already, it was perhaps asked for all the same
  if (name !== roomFromAddress()) history.pushState(null, '', pathOf(name));
  const again = room.welcomed;
  // The newest id is older than what we have seen, or of another log: the server has forgotten.
  const epoch = asText(event.epoch);
  const isForgotten = last < room.newest || (room.newest > 0 && epoch !== room.epoch);
  if (isForgotten) startOver('reset');
  if (!again || isForgotten) room.first = last;
  if (room.newest === 0) setPast('unknown'); // nobody could say from where to go on, so there may be a gap
  Object.assign(room, { welcomed: true, epoch, last });
  return again;
}

// Another room, without another page.
function enterRoom(name) {
  forgetRoom();
  forgetSpeakers();
  forgetSent();
  Object.assign(room, { name, welcomed: false, note: 'moved' });
  moveDraft(name);
  showRoom();
}

function startOver(note) {
  forgetRoom();
  room.note = note;
}

// Elsewhere, or after a restart of the server, a name that was ours may be somebody else's.
function forgetRoom() {
  clearTimeline();
  me.all = new Set([me.name]);
  forgetTags();
  Object.assign(room, { newest: 0, spoken: false });
  page.view.setAttribute('aria-busy', 'true');
}

function awaitPast() {
  after('past', PAST_MS, onPastOver);
}

function onPastOver() {
  cancel('past');
  page.view.setAttribute('aria-busy', 'false');
  if (room.note) addSystem(room.note, { room: room.name, name: me.name }, { flavour: 'rule' });
  room.note = '';
  learnPast(room.last > 0); // a room in which nothing had been said when we came has no past
  if (!giveBackLost() && isOpen() && isBoxEmpty()) hint();
}
