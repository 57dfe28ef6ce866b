// The page's main script: it joins the room whose address the page has, shows what is said there and sends what is typed.
//
// It is read from the top: numbers, what the page remembers, start(), and then the chapters in the order in which
// a message travels: what the link asks for, the events that come in, what goes out, and the words around it (title,
// settings). The link to the server is in link.js, the screen in timeline.js, the people in people.js, the box in composer.js,
// every sentence in words.js. The wire itself is one rule: lines of text go out, JSON objects come in.
//
// What others wrote reaches the page only through textContent. No function here takes HTML, so there is nothing to escape.

import { pathOf, roomFromAddress, roomUrl } from './address.js';
import {
  COMMANDS, emptyBox, expectMove, giveBack, hint, insert, moveDraft, prepareComposer, whisperTo,
} from './composer.js';
import { prepareEmoji } from './emoji.js';
import {
  awaitEcho, connect, isOpen, isSignOfLife, linkState, prepareLink, say, sayAlarm, send, setState,
} from './link.js';
import { keep, recall } from './memory.js';
import { allowNotifications, clearNotifications, mayNotify, notify } from './notify.js';
import {
  addPerson, forgetSpeakers, namesToSuggest, noteSpeaker, preparePeople, removePerson, renamePerson, setOnline, setPeople,
} from './people.js';
import { asText, commandOf, isMentioned } from './text.js';
import {
  addLine, addOlder, addSystem, clearTimeline, followEnd, forgetRequest, learnPast, prepareTimeline, setPast,
} from './timeline.js';
import { after, cancel, isSet } from './timers.js';
import { chooseLanguage, language, prepareWords, put, putAttribute, putText, words } from './words.js';

// ---------------------------------------------------------------------------------------------------------------------
// Numbers.

const REPLAY_MS = 2_000; // the past follows the welcome at once; after this long there is no more of it to come

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

// ---------------------------------------------------------------------------------------------------------------------
// What the page remembers.

const page = Object.fromEntries(
  [...document.querySelectorAll('[id]')].map((element) => [element.id, element]),
);

// The room as far as we have seen it. `last` is the newest id at our welcome: up to it messages are the past, beyond it
// news. `first` is `last` at our first welcome here. `note` is to be said when the past is on the screen.
const room = { name: roomFromAddress(), welcomed: false, last: 0, first: 0, newest: 0, spoken: false, note: '' };

// Who we are, and who we have been in this room. `wanted` is the name somebody chose; others are given anew each time.
const me = { name: '', all: new Set(), wanted: recall('name'), asking: false };

// What was sent and has not come back yet. `doubtful`: the connection broke meanwhile, so it may or may not have arrived.
const outbox = { sent: [], doubtful: [], command: '', asksWho: 0 };

let unread = 0;

// One line for each type of event; a new one is added here and nowhere else.
// (A Map, since a plain object would also answer to "constructor" and its like.)
const handlers = new Map([
  ['welcome', onWelcome],
  ['message', onSpoken],
  ['action', onSpoken],
  ['private', onPrivate],
  ['join', onJoin],
  ['leave', onLeave],
  ['online', ({ online }) => setOnline(online)],
  ['rename', onRename],
  ['users', onUsers],
  ['help', onHelp],
  ['history', onHistory],
  ['reset', onReset],
  ['pong', onPong],
  ['error', onError],
]);

start();

function start() {
  prepareWords();
  preparePeople({ pickName: whisperTo, askWho });
  prepareTimeline({ wantOlder, pickName: (name) => name !== me.name && whisperTo(name) });
  prepareComposer({ submit, names: namesToSuggest, room: room.name });
  prepareEmoji(page['emoji-open'], page.emoji, insert, () => page.text.focus());
  prepareSettings();
  if (!window.WebSocket) {
    sayUnsupported();
    return;
  }
  prepareConnection();
  connect();
}

// ---------------------------------------------------------------------------------------------------------------------
// What the link asks for and tells.

function prepareConnection() {
  prepareLink({
    address,
    room: () => room.name,
    opened: () => page.hint.textContent && hint(page.text.value ? 'can-send' : ''),
    received: onFrame,
    dropped: onDropped,
    lost: () => outbox.doubtful.length > 0 && hint('doubtful'),
    changed: showRoom,
    retried: () => page.text.focus(), // the button vanishes: without this, the keyboard would be nowhere
  });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    unread = 0;
    showTitle();
    clearNotifications();
  });
  window.addEventListener('popstate', () => moveTo(roomFromAddress()));
}

// With the name we had, and from where we have read: so the stream goes on as if nothing had happened.
function address() {
  // Somebody may have gone back to another room meanwhile, or have been on the way there when the connection broke.
  if (roomFromAddress() !== room.name) enterRoom(roomFromAddress());
  const query = new URLSearchParams();
  if (me.wanted) query.set('name', me.wanted);
  if (room.newest > 0) query.set('since', room.newest);
  me.asking = me.wanted !== '';
  return [roomUrl(room.name), query].filter(String).join('?');
}

// Whether what was sent has arrived, the replay of the next connection tells.
function onDropped() {
  cancel('replay');
  outbox.doubtful.push(...outbox.sent);
  Object.assign(outbox, { sent: [], command: '', asksWho: 0 });
  forgetRequest();
}

// ---------------------------------------------------------------------------------------------------------------------
// Events: what comes in.

function onFrame(data) {
  const event = parse(data);
  if (!event) return;

  // Ids rise in each room. What is not beyond the newest is on the screen already.
  if (Number.isSafeInteger(event.id)) {
    if (event.id <= room.newest) return;
    room.newest = event.id;
  }
  const handle = handlers.get(event.type) ?? onUnknown;
  handle(event);
  if (isSet('replay') && room.newest >= room.last && outbox.doubtful.length === 0) onReplayOver();
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

// The first event of a connection; or the answer to /join, and then the address follows, so that it can be copied and gone
// back from.
function onWelcome(event) {
  const before = me.name;
  me.name = event.name;
  const last = Number.isSafeInteger(event.last) ? event.last : room.newest;
  const name = asText(event.room) || room.name;
  if (name !== room.name) enterRoom(name);
  moveDraft(name); // where one is already, it was perhaps asked for all the same
  if (name !== roomFromAddress()) history.pushState(null, '', pathOf(name));
  const again = room.welcomed;
  // The newest id is older than what we have seen: the server has restarted and forgotten.
  const forgotten = last < room.newest;
  if (forgotten) startOver();
  if (!again || forgotten) room.first = last;
  if (room.newest === 0) setPast('unknown'); // nobody could say from where to go on, so there may be a gap
  room.welcomed = true;
  room.last = last;

  me.all.add(me.name);
  if (me.name === me.wanted) me.asking = false;
  page.me.textContent = me.name;
  setPeople(event.users, event.online, me.name);

  if (again && me.name !== before) addSystem('back', { name: me.name });
  showEmpty();
  learnPastSoon();
}

// Another room, without another page. What was sent in the one before will not come back in this one.
function enterRoom(name) {
  forgetRoom();
  forgetSpeakers();
  outbox.sent = [];
  Object.assign(room, { name, welcomed: false, note: 'moved' });
  moveDraft(name);
  showRoom();
}

// What we have seen does not join on to what is kept: the newest messages follow, as if we had just come.
function onReset() {
  if (room.newest === 0) return; // the welcome said so already
  startOver();
  room.first = room.last;
  learnPastSoon();
}

function startOver() {
  forgetRoom();
  room.note = 'reset';
}

// Elsewhere, or after a restart of the server, a name that was ours may be somebody else's.
function forgetRoom() {
  clearTimeline();
  me.all = new Set([me.name]);
  Object.assign(room, { newest: 0, spoken: false });
  page.view.setAttribute('aria-busy', 'true');
}

function learnPastSoon() {
  after('replay', REPLAY_MS, onReplayOver);
}

// By now the room has shown what it got. What is still missing never arrived, and goes back to the one who wrote it.
function onReplayOver() {
  cancel('replay');
  page.view.setAttribute('aria-busy', 'false');
  if (room.note) addSystem(room.note, { room: room.name, name: me.name }, { flavour: 'rule' });
  room.note = '';
  learnPast(room.last > 0); // a room in which nothing had been said when we came has no past
  const lost = outbox.doubtful;
  outbox.doubtful = [];
  if (lost.length > 0) giveBack(lost, 'undelivered');
  else if (isOpen() && !page.text.value) hint();
}

function onSpoken(event) {
  const replayed = event.id <= room.last;
  const line = lineOf(event, replayed);
  // Messages come back in the order in which they were sent. (An action was a command, for which nobody waits.)
  if (line.mine && event.type === 'message') (replayed ? outbox.doubtful : outbox.sent).shift();
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

// In what is past, a name may have been somebody else's: ours is what we said since we came, or said under a chosen name.
function lineOf(event, isPast) {
  const mine = event.name !== '' && (isPast
    ? event.name === me.wanted || (event.id > room.first && me.all.has(event.name))
    : event.name === me.name);
  const kind = event.type === 'action' ? 'action' : 'message';
  const damaged = event.damaged === true; // the server cannot read it any more, and has a sentence in its place
  const mention = !mine && !damaged && me.name !== '' && isMentioned(event.mess, me.name);
  const time = damaged && event.time === 0 ? null : asTime(event.time); // 0: nobody knows when it was said
  return { kind, id: event.id, time, name: event.name, text: event.mess, mine, isNews: false, mention, damaged };
}

function onJoin(event) {
  if (event.name === me.name) return setOnline(event.online); // our own coming we know
  addPerson(event.name, event.online);
  // What was our own is only the connection before this one, noticed late.
  if (!me.all.has(event.name)) addSystem('joined', { name: event.name });
}

function onLeave(event) {
  removePerson(event.name, event.online);
  if (!me.all.has(event.name)) addSystem('left', { name: event.name });
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
  page.me.textContent = me.name;
  wantName(me.name);
  if (page.settings.open) page.settings.close();
  addSystem('renamed-me', { name: me.name });
}

function onUsers(event) {
  setPeople(event.users, event.online, me.name);
  if (outbox.asksWho > 0) {
    outbox.asksWho -= 1; // the page itself had asked, to fill its list
    return;
  }
  const users = Array.isArray(event.users) ? event.users.map(asText) : [];
  const more = Number.isSafeInteger(event.online) && event.online > users.length;
  const separator = language() === 'en' ? ', ' : '、';
  // Each name is its own island of direction: these marks do for plain text what <bdi> does for elements.
  const names = users.map((name) => `\u2068${name}\u2069`).join(separator);
  addSystem(more ? 'who-more' : 'who', { n: event.online, names });
}

// The commands we know, in the reader's language; and what a newer server may know beyond them, in its own words.
function onHelp(event) {
  const news = event.mess.split('\n').filter((line) => {
    const command = /^\s*\/(\w+)/.exec(line)?.[1];
    return command && command !== 'history' && !COMMANDS.includes(command); // the page itself asks for history
  });
  addLine({ kind: 'help', rows: [...COMMANDS.map((command) => ({ command })), ...news.map((text) => ({ text }))] });
}

function onHistory(event) {
  if (asText(event.room) !== room.name) return; // asked for in the room before this one
  const events = (Array.isArray(event.messages) ? event.messages : []).map(asEvent);
  const older = events.filter((one) => one && Number.isSafeInteger(one.id) && one.id < event.before);
  // Whoever says that there is more, but sends nothing, would be asked for ever.
  addOlder(older.map((one) => lineOf(one, true)), event.more === true && older.length > 0);
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

  if (page.settings.open && COMMAND_ERRORS.get(code)?.test('nick')) {
    put(page['naming-problem'], `error-${code}`, {}, event.mess);
    return;
  }
  addSystem(`error-${code}`, {}, { sentence: event.mess, flavour: 'error' });
  const about = COMMAND_ERRORS.get(code);
  // We did not get there, so the address should not say so.
  if (about?.test('join')) {
    moveDraft(room.name);
    if (roomFromAddress() !== room.name) history.replaceState(null, '', pathOf(room.name));
  }
  // If it was about a message, the one who wrote it gets it back to better it; the same for a command that was mistyped.
  if (outbox.command && about?.test(commandOf(outbox.command)) && !page.text.value) giveBack([outbox.command], 'not-taken');
  if (!about && !outbox.command && outbox.sent.length > 0) giveBack([outbox.sent.shift()], 'not-taken');
  outbox.command = '';
}

// A newer server may say things this page has no picture for. Every event has a name and a mess: these it can show.
function onUnknown(event) {
  setOnline(event.online);
  if (event.mess) addSystem('', {}, { sentence: event.mess, who: event.name ? `${event.name}:` : '' });
}

// ---------------------------------------------------------------------------------------------------------------------
// What goes out.

// Sends what is in the box as it is. Nothing is shown yet: the message is on the screen when the room has it, and so sends
// it back. Until we are connected it stays in the box; it is never queued, since minutes later it may be out of place.
function submit(text) {
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
  page.text.focus();
}

// A message comes back to its sender, a command does not; so only messages can be waited for. "//x" is the message "/x".
function remember(text) {
  const isCommand = commandOf(text) !== null;
  outbox.command = isCommand ? text : '';
  if (isCommand) return;
  outbox.sent.push(text);
  awaitEcho();
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

function askWho() {
  if (!isOpen() || outbox.asksWho > 0) return;
  outbox.asksWho += 1;
  send('/who');
}

// ---------------------------------------------------------------------------------------------------------------------
// Settings: a name, a language, notifications.

function prepareSettings() {
  page.self.addEventListener('click', () => {
    page['new-name'].value = me.name;
    putText(page['naming-problem'], '');
    putText(page['notify-problem'], '');
    page.settings.showModal();
    page['new-name'].select();
  });
  page['settings-close'].addEventListener('click', () => page.settings.close());
  // A click beside the dialog is on its backdrop, which is the dialog itself.
  page.settings.addEventListener('click', ({ target }) => target === page.settings && page.settings.close());
  page.settings.addEventListener('close', () => page.text.focus());

  page.naming.addEventListener('submit', (event) => {
    event.preventDefault();
    const name = page['new-name'].value.trim();
    putText(page['naming-problem'], '');
    if (name === me.name || name === '') page.settings.close();
    else if (isOpen()) send(`/nick ${name}`); // the dialog closes when the room has agreed
    else {
      wantName(name); // asked for when we are connected
      page.settings.close();
    }
  });

  page.language.value = language();
  page.language.addEventListener('change', () => {
    chooseLanguage(page.language.value);
    showTitle();
  });
  page.notify.checked = mayNotify();
  page.notify.addEventListener('change', switchNotify);
}

function wantName(name) {
  me.wanted = name;
  keep('name', name);
}

async function switchNotify() {
  putText(page['notify-problem'], '');
  if (await allowNotifications(page.notify.checked)) return;
  page.notify.checked = false;
  put(page['notify-problem'], 'notify-denied');
}

// Somebody who looks elsewhere is told: by the title of everything, by a notification of what is meant for them.
function announce(line) {
  if (!line.isNews || !document.hidden) return;
  unread += 1;
  showTitle();
  if (line.mention || line.kind === 'private') notify(line, room.name);
}

// ---------------------------------------------------------------------------------------------------------------------
// The words around it: room and title.

// The hint for a silent room waits for the welcome, which knows whether a history is about to follow.
function showEmpty() {
  page.empty.hidden = room.spoken || !room.welcomed || room.last > 0;
}

function showRoom() {
  page.room.textContent = room.name;
  const key = { open: 'message-to', connecting: 'connecting' }[linkState()] ?? 'not-connected';
  putAttribute(page.text, 'placeholder', key, { room: room.name });
  page.example.textContent = `websocat ${roomUrl(room.name)}`;
  showTitle();
}

function showTitle() {
  document.title = `${unread > 0 ? `(${unread}) ` : ''}${room.name} · roomd`;
}

function sayUnsupported() {
  setState('unsupported');
  showRoom();
  say('not-connected');
  page.text.disabled = true; // nothing that is typed here could ever be sent
  sayAlarm('unsupported');
}

// ---------------------------------------------------------------------------------------------------------------------
// Times.

// A date that certainly can be shown: toISOString() throws for one that is none.
function asTime(ms) {
  if (!Number.isFinite(ms)) return new Date();
  const time = new Date(ms);
  return Number.isFinite(time.getTime()) ? time : new Date();
}
