// Events: what comes in. Each is a JSON object with a type, and one handler here for it.

import { pathOf, roomFromAddress } from './address.js';
import { noticePast, onReset, onWelcome } from './arrival.js';
import { COMMANDS } from './commands.js';
import { moveDraft } from './composer.js';
import { isOpen, isSignOfLife, send } from './link.js';
import { cameBack, refused } from './outbox.js';
import {
  addPerson, countPeople, noteSpeaker, removePerson, renamePerson, setOnline, setPeople,
} from './people.js';
import { isNamesake, isOurs, me, room, wantName } from './room.js';
import { nameRefused, nameTaken, showMyName } from './settings.js';
import { asText, isMentioned } from './text.js';
import { addLine, addOlder, addSystem, forgetRequest } from './timeline.js';
import { announce, showEmpty } from './title.js';
import { language } from './words.js';

const TAG_CHARS = 12; // a tag has 6; no server makes a line longer than this with one

// Errors that are about a command, and the words of those it may have been. All others are about a message.
const COMMAND_ERRORS = new Map([
  ['unknown-command', /^/],
  ['mistyped-command', /^/],
  ['bad-arguments', /^/],
  ['bad-name', /^nick$/],
  ['name-taken', /^nick$/],
  ['name-too-similar', /^nick$/],
  ['no-such-name', /^msg$/],
  ['receiver-busy', /^msg$/],
  ['bad-room', /^join$/],
  ['too-many-rooms', /^join$/],
  ['slow-down', /^(nick|join)$/],
]);

// One line for each type of event; a new one is added here and nowhere else.
// (A Map, since a plain object would also answer to "constructor" and its like.)
const handlers = new Map([
  ['welcome', onWelcome],
  ['message', onSpoken],
  ['action', onSpoken],
  ['private', onPrivate],
  ['join', onJoin],
  ['leave', onLeave],
  ['online', ({ online }) => countPeople(online)],
  ['rename', onRename],
  ['users', onUsers],
  ['help', onHelp],
  ['history', onHistory],
  ['reset', onReset],
  ['pong', onPong],
  ['error', onError],
]);

let whoAsked = 0; // answers to /who that are still to come for the page itself

export function onFrame(data) {
  const event = parse(data);
  if (!event) return;

  // Ids rise in each room. What is not beyond the newest is on the screen already.
  if (Number.isSafeInteger(event.id)) {
    if (event.id <= room.newest) return;
    room.newest = event.id;
  }
  const handle = handlers.get(event.type) ?? onUnknown;
  handle(event);
  noticePast();
}

// The list of people is no longer known. One question at a time: the answer to it will do for all.
export function askWho() {
  if (!isOpen() || whoAsked > 0) return;
  whoAsked += 1;
  send('/who');
}

// What the last connection was asked will not be answered.
export function forgetQuestions() {
  whoAsked = 0;
  forgetRequest();
}

// Returns an event whose name and mess are strings, or null: a page must not fall over because a server is odd.
function parse(data) {
  try {
    return asEvent(JSON.parse(data));
  } catch {
    return null;
  }
}

function asEvent(event) {
  if (event === null || typeof event !== 'object') return null;
  return { ...event, name: asText(event.name), mess: asText(event.mess) };
}

// ---------------------------------------------------------------------------------------------------------------------
// What is said.

function onSpoken(event) {
  const isPast = event.id <= room.last;
  const line = lineOf(event, isPast);
  if (line.mine && event.type === 'message') cameBack(isPast); // an action was a command, for which nobody waits
  room.spoken = true;
  showEmpty();
  if (!line.damaged) noteSpeaker(event.name);
  line.isNews = !line.mine && event.id > room.first;
  announce(line);
  addLine(line);
}

function onPrivate(event) {
  const mine = event.name === me.name;
  const line = { kind: 'private', time: asTime(event.time), name: event.name, to: asText(event.to), text: event.mess, mine };
  line.isNews = !mine;
  announce(line);
  addLine(line);
}

// Older messages, which the timeline had asked for.
function onHistory(event) {
  if (asText(event.room) !== room.name) return; // asked for in the room before this one
  const events = (Array.isArray(event.messages) ? event.messages : []).map(asEvent);
  const older = events.filter((one) => one && Number.isSafeInteger(one.id) && one.id < event.before);
  // A server that says there is more, but sends nothing, would be asked for ever.
  addOlder(older.map((one) => lineOf(one, true)), event.more === true && older.length > 0);
}

// Ours is what has our tag. Of a server that gives us none, it is what we said since we came, or said under a chosen name: in what
// is past, a name may have been somebody else's.
function isMine(event, isPast) {
  if (me.tag !== '') return asText(event.tag) === me.tag;
  if (event.name === '' || asText(event.tag) !== '') return false;
  if (!isPast) return event.name === me.name;
  return event.name === me.wanted || (event.id > room.first && isOurs(event.name));
}

function lineOf(event, isPast) {
  const mine = isMine(event, isPast);
  const tag = asText(event.tag).slice(0, TAG_CHARS);
  const kind = event.type === 'action' ? 'action' : 'message';
  const damaged = event.damaged === true; // the server cannot read it any more, and has a sentence in its place
  const mention = !mine && !damaged && me.name !== '' && isMentioned(event.mess, me.name);
  const time = damaged && event.time === 0 ? null : asTime(event.time); // 0: nobody knows when it was said
  const namesake = !mine && !damaged && isNamesake(event.name, tag);
  return { kind, id: event.id, time, name: event.name, tag, namesake, text: event.mess, mine, isNews: false, mention, damaged };
}

// A date that certainly can be shown: toISOString() throws for one that is none.
function asTime(ms) {
  if (!Number.isFinite(ms)) return new Date();
  const time = new Date(ms);
  return Number.isFinite(time.getTime()) ? time : new Date();
}

// ---------------------------------------------------------------------------------------------------------------------
// Who is here.

function onJoin(event) {
  if (event.name === me.name) return setOnline(event.online); // we know that we came ourselves
  addPerson(event.name, event.online);
  // A name of ours is only the connection before this one, noticed late.
  if (!isOurs(event.name)) addSystem('joined', { name: event.name });
}

function onLeave(event) {
  removePerson(event.name, event.online);
  if (!isOurs(event.name)) addSystem('left', { name: event.name });
  // The name we asked for was held by another: mostly by our own connection before this one. Now it is free.
  if (me.asking && event.name === me.wanted) send(`/nick ${me.wanted}`);
}

function onRename(event) {
  const from = asText(event.from);
  renamePerson(from, event.name);
  if (from !== me.name) {
    addSystem('renamed', { from, name: event.name });
    return;
  }
  me.name = event.name;
  me.all.add(me.name);
  me.asking = false;
  wantName(me.name);
  showMyName();
  nameTaken();
  addSystem('renamed-me', { name: me.name });
}

function onUsers(event) {
  setPeople(event.users, event.online, me.name);
  if (event.unasked === true) return; // it ends a long past
  if (whoAsked > 0) {
    whoAsked -= 1; // the page itself had asked, to fill its list
    return;
  }
  const users = Array.isArray(event.users) ? event.users.map(asText) : [];
  const more = Number.isSafeInteger(event.online) && event.online > users.length;
  const separator = language() === 'en' ? ', ' : '、';
  // Each name is its own island of direction: these marks do for plain text what <bdi> does for elements.
  const names = users.map((name) => `\u2068${name}\u2069`).join(separator);
  addSystem(more ? 'who-more' : 'who', { n: event.online, names });
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers.

// The commands we know, in the reader's language; and what a newer server may know beyond them, in its own words.
function onHelp(event) {
  const news = event.mess.split('\n').filter((line) => {
    const command = /^\s*\/(\w+)/.exec(line)?.[1];
    return command && command !== 'history' && !COMMANDS.includes(command); // the page itself asks for history
  });
  addLine({ kind: 'help', rows: [...COMMANDS.map((command) => ({ command })), ...news.map((text) => ({ text }))] });
}

// Somebody has typed a /ping, or else the link has asked.
function onPong(event) {
  if (!isSignOfLife(event)) addSystem('pong');
}

function onError(event) {
  if (isSignOfLife(event)) return;
  const code = asText(event.code);
  if (code === 'history-unavailable' && forgetRequest('none')) return; // the page had asked; else it is about a message
  if (code === 'since-in-future' || code === 'bad-since') return; // our own doing: the welcome has told us enough
  if (code === 'bad-name' && me.asking) wantName(''); // it would be asked for in vain each time

  const about = COMMAND_ERRORS.get(code);
  if (about?.test('nick') && nameRefused(`error-${code}`, event.mess)) return;
  addSystem(`error-${code}`, {}, { sentence: event.mess, flavour: 'error' });
  // We did not get there, so the address should not say so.
  if (about?.test('join')) {
    moveDraft(room.name);
    if (roomFromAddress() !== room.name) history.replaceState(null, '', pathOf(room.name));
  }
  refused(about);
}

// A newer server may say things this page has no picture for. Every event has a name and a mess: these it can show.
function onUnknown(event) {
  setOnline(event.online);
  if (event.mess) addSystem('', {}, { sentence: event.mess, who: event.name ? `${event.name}:` : '' });
}
