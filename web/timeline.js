// The room on the screen: lines come in at the end in batches, older ones at the top by pages, and nobody loses their place.
//
// What others wrote reaches the page only through textContent. No function here takes HTML, so there is nothing to escape.

import { commandParts } from './commands.js';
import { create, elements } from './elements.js';
import { hueOf, isLong, pieces } from './text.js';
import { clock, day, exact, put } from './words.js';

const MAX_LINES = 2000; // the page may stay open for weeks: older lines are dropped, so that memory stays bounded
const MAX_LINES_READING = 6000; // who reads further up keeps more: dropping lines there would take away what is being read
const GROUP_MS = 5 * 60_000; // one person's messages stand together under one name and time, but not for longer than this
const NEAR_END_PX = 40; // this close to the end counts as reading the end
const NEAR_TOP_PX = 300; // this close to the top, older messages are fetched: they should be there when one arrives
const READ_OUT_MS = 300; // a screen reader looks at what was added some time later than it was
const FLUSH_MS = 16; // lines are put on the screen in batches, about once per frame

const page = elements('view', 'log', 'newer', 'older');
const lineOf = new WeakMap(); // <li> -> the line it shows

// `pending` lines are not in the document yet; `tail` is the newest group and day in it.
// `past` says what there is above: 'unknown' until the room has been joined, then 'more', 'asked', or 'none'.
const screen = { pending: [], timer: 0, tail: newTail(), follow: true, seen: { top: 0, height: 0, room: 0 }, aim: Infinity, newer: 0, past: 'unknown' };
let hooks = {};

// `wantOlder(before)` is called when messages older than that id are needed, `pickName(name)` when a name is clicked.
export function prepareTimeline({ wantOlder, pickName }) {
  hooks = { wantOlder, pickName };
  page.view.addEventListener('scroll', noticeScroll, { passive: true });
  page.view.addEventListener('wheel', noticeWish, { passive: true });
  page.view.addEventListener('keydown', noticeWish);
  page.newer.addEventListener('click', () => {
    followEnd();
    page.view.focus(); // this button vanishes; and the box would call up the keyboard of a phone
  });
  page.log.addEventListener('click', ({ target }) => {
    const name = target.closest('button.name');
    if (name) hooks.pickName(partner(lineOf.get(name.closest('li'))));
  });

  // The keyboard of a phone, a turned screen or a growing box take room away: stay at the end if we were there.
  const observer = new ResizeObserver(() => screen.follow && scrollToEnd());
  observer.observe(page.view);
  observer.observe(page.log);
  // A turned screen may pass through a third size and move the view there. The browser tells of sizes before it tells of
  // moves, so by then we are back at the end.
  window.addEventListener('resize', () => screen.follow && scrollToEnd());
}

// A line is { kind: 'message' | 'action' | 'private', id, time, name, tag, namesake, to, text, mine, isNews, mention, damaged }
// or { kind: 'system', key, values, sentence, who, flavour } or { kind: 'help', rows }.
//
// A busy room brings hundreds of lines a second. Each on its own would make the browser lay out the page each time;
// together they cost one layout. A timer does it and not requestAnimationFrame, which stands still in a hidden tab.
export function addLine(line) {
  screen.pending.push(line);
  if (screen.pending.length > 2 * MAX_LINES) screen.pending.splice(0, MAX_LINES); // they would be dropped anyway
  screen.timer ||= setTimeout(flush, FLUSH_MS);
}

export function addSystem(key, values = {}, { sentence = '', who = '', flavour = '' } = {}) {
  addLine({ kind: 'system', key, values, sentence, who, flavour });
}

// Puts older messages on top. What was on the screen does not move.
export function addOlder(lines, more) {
  flush();
  const tail = newTail();
  const fragment = document.createDocumentFragment();
  page.view.setAttribute('aria-busy', 'true'); // nobody asked to have fifty old messages read out
  setTimeout(() => page.view.setAttribute('aria-busy', 'false'), READ_OUT_MS);
  const oldest = oldestId() ?? Infinity;
  for (const line of lines.filter(({ id }) => id < oldest)) fragment.append(...elementsOf(line, tail));
  keepingPlace(() => {
    mendSeam(tail);
    page.log.prepend(fragment);
    setPast(more ? 'more' : 'none', more ? '' : 'beginning');
  });
  askForOlder();
}

// What is known of the past: 'more' may be asked for, of 'none' we know; `note` is the key of a word about it.
export function setPast(state, note = '') {
  screen.past = state;
  page.older.hidden = note === '';
  if (note) put(page.older, note);
}

// What the room told on joining, unless we know better by now.
export function learnPast(hasMore) {
  if (screen.past === 'unknown') setPast(hasMore ? 'more' : 'none');
  askForOlder();
}

// Older messages that were asked for will not come; says whether any were. Of what was lost with a connection nothing is
// known again.
export function forgetRequest(past = 'unknown') {
  if (screen.past !== 'asked') return false;
  setPast(past);
  return true;
}

export function clearTimeline() {
  clearTimeout(screen.timer);
  Object.assign(screen, { pending: [], timer: 0, tail: newTail(), follow: true, aim: Infinity, newer: 0 });
  page.log.replaceChildren();
  setPast('unknown');
  showNewer();
}

export function followEnd() {
  screen.follow = true;
  screen.newer = 0;
  scrollToEnd();
  showNewer();
}

// ---------------------------------------------------------------------------------------------------------------------
// Lines into the document, and the oldest out of it.

function flush() {
  clearTimeout(screen.timer);
  screen.timer = 0;
  noticeScroll();
  const lines = screen.pending.slice(-MAX_LINES);
  screen.pending = [];

  const fragment = document.createDocumentFragment();
  for (const line of lines) fragment.append(...elementsOf(line, screen.tail));
  page.log.append(fragment);
  dropOldest();

  if (screen.follow) scrollToEnd();
  else screen.newer += lines.filter((line) => line.isNews).length;
  showNewer();
  askForOlder();
}

// Dropped lines can be fetched again, so the past is open once more.
function dropOldest() {
  let excess = page.log.childElementCount - (screen.follow ? MAX_LINES : MAX_LINES_READING);
  if (excess <= 0) return;
  keepingPlace(() => {
    while (excess-- > 0) page.log.firstElementChild.remove();
    // The first message left may have stood under a name that is gone now.
    page.log.querySelector('.message')?.classList.remove('grouped');
    if (screen.past === 'none') setPast('more');
  });
}

// Changes above must not move what somebody is reading. The browser could hold it in place (scroll anchoring), but not
// every browser does, so it is switched off in the style sheet and done here for all of them.
function keepingPlace(change) {
  const fixed = page.log.lastElementChild;
  const before = fixed?.getBoundingClientRect().top;
  change();
  if (screen.follow) scrollToEnd();
  else if (fixed) page.view.scrollTop += fixed.getBoundingClientRect().top - before;
  screen.seen = whereWeAre();
}

// Where older messages meet the first one on the screen, that one may join their group, and need no new day.
function mendSeam(tail) {
  const first = page.log.querySelector('.message');
  if (!first) return;
  if (first.previousElementSibling?.matches('.day')) first.previousElementSibling.remove();
  const line = lineOf.get(first);
  if (isNewDay(tail, line)) first.before(dayElement(line.time));
  else if (!first.previousElementSibling) first.classList.toggle('grouped', belongsTo(tail.group, line));
}

function newTail() {
  return { group: null, day: '' };
}

// One line is one element, or two when a new day begins with it.
function elementsOf(line, tail) {
  if (line.kind === 'system' || line.kind === 'help') {
    tail.group = null; // what comes next begins a new group
    return [line.kind === 'help' ? helpElement(line) : systemElement(line)];
  }
  const newDay = isNewDay(tail, line);
  const grouped = !newDay && belongsTo(tail.group, line);
  if (line.time) tail.day = dayOf(line);
  if (line.kind !== 'message') tail.group = null; // an action and a private message each stand alone
  else if (!grouped) tail.group = line;
  const message = messageElement(line, grouped);
  return newDay ? [dayElement(line.time), message] : [message];
}

// A line without a time stands under the day of those before it.
function isNewDay(tail, line) {
  return line.time !== null && dayOf(line) !== tail.day;
}

function dayOf(line) {
  return line.time.toDateString();
}

// Measured from the group's first message: its time stands for all of them, so it must not grow too old.
function belongsTo(first, line) {
  if (first === null || line.kind !== 'message') return false;
  if (first.name !== line.name || first.tag !== line.tag || first.mine !== line.mine) return false;
  return first.time !== null && line.time !== null ? line.time - first.time < GROUP_MS : first.time === line.time;
}

// <li class="message"><div class="head"> name, time </div><div class="bubble"> text </div></li>
// An action has its name in the bubble, for there it is a part of the sentence: "Ann waves".
function messageElement(line, grouped) {
  const item = create('li', `message ${line.kind === 'message' ? '' : line.kind}`.trim());
  lineOf.set(item, line);
  if (line.id !== undefined) item.dataset.id = line.id;
  item.classList.toggle('mine', line.mine);
  item.classList.toggle('grouped', grouped);
  item.classList.toggle('mention', line.mention === true);
  item.classList.toggle('damaged', line.damaged === true);

  // Name and time are in every message, though shown only once per group: a screen reader reads messages one by one.
  const head = create('div', 'head');
  const text = create('div', 'text');
  text.dir = 'auto'; // Arabic and Hebrew begin at the right, and cannot turn around what stands beside them
  if (line.damaged) put(text, 'damaged');
  else text.append(...withLinks(line.text));
  const bubble = create('div', 'bubble');
  if (line.kind === 'action') bubble.append(nameElement(line), ' ', text);
  else head.append(nameElement(line), ' ');
  if (line.kind !== 'action') bubble.append(text);
  if (isLong(line.text)) bubble.append(unfoldButton(text));
  if (line.time) head.append(timeElement(line.time));
  item.append(head, bubble);
  return item;
}

// The name is a button for the mouse only: for the keyboard, each name is in the list of people, once.
function nameElement(line) {
  const other = partner(line);
  const hasNoPartner = (line.mine && !line.to) || line.damaged; // of what is damaged nobody knows who said it
  const name = create(hasNoPartner ? 'bdi' : 'button', `name ${hueOf(line.namesake ? `${other} ${line.tag}` : other)}`);
  if (line.kind === 'private') put(name, line.mine ? 'whisper-to' : 'whisper-from', { name: other });
  else if (name.tagName === 'BDI') name.textContent = other;
  else name.append(create('bdi', '', other));
  if (line.namesake) name.append(' ', namesakeElement(line.tag));
  if (name.tagName === 'BUTTON') {
    name.type = 'button';
    name.tabIndex = -1;
  }
  return name;
}

// Behind the name of somebody who is not the one that was called so before: at a glance a sign, to a screen reader words.
function namesakeElement(tag) {
  const mark = create('span', 'namesake');
  put(mark, tag ? 'namesake' : 'namesake-untagged', { tag });
  return mark;
}

// Whom one would answer.
function partner(line) {
  return line.kind === 'private' && line.mine ? line.to : line.name;
}

function timeElement(time) {
  const element = create('time', '', clock(time));
  element.dateTime = time.toISOString();
  element.title = exact(time);
  return element;
}

function dayElement(time) {
  const item = create('li', 'day');
  const element = create('time', '', day(time));
  element.dateTime = time.toISOString();
  item.append(element);
  return item;
}

function systemElement({ key, values, sentence, who, flavour }) {
  const item = create('li', `system ${flavour}`.trim());
  if (who) item.append(create('bdi', 'who', who), ' ');
  const what = create('bdi', 'what');
  put(what, key, values, sentence);
  item.append(what);
  return item;
}

// Each row is { usage: key of arguments, command, does: key }, or { text }, for what the server knows and we do not.
function helpElement({ rows }) {
  const item = create('li', 'help');
  const title = create('div', 'help-title');
  put(title, 'help');
  item.append(title);
  for (const { command, text } of rows) {
    const row = create('div', 'help-row', text ?? '');
    if (command) row.append(...commandParts(command));
    item.append(row);
  }
  return item;
}

// ---------------------------------------------------------------------------------------------------------------------
// Texts.

function withLinks(text) {
  return pieces(text).map((piece) => (piece.href ? linkElement(piece) : piece.text));
}

function linkElement({ text, href }) {
  const link = create('a', '', text);
  link.href = href;
  link.title = href; // the host as it is asked for (xn--…): letters that only look alike show here
  link.target = '_blank';
  link.rel = 'noopener noreferrer nofollow';
  return link;
}

function unfoldButton(text) {
  const button = create('button', 'unfold');
  button.type = 'button';
  const show = (folded) => {
    text.classList.toggle('folded', folded);
    button.setAttribute('aria-expanded', String(!folded));
    put(button, folded ? 'unfold' : 'fold');
  };
  show(true);
  button.addEventListener('click', () => {
    show(!text.classList.contains('folded'));
    if (!text.classList.contains('folded')) screen.follow = false; // somebody who unfolds a text wants to read its beginning
  });
  return button;
}

// ---------------------------------------------------------------------------------------------------------------------
// Scrolling.

// Near the top, or when all there is does not fill the screen.
function askForOlder() {
  // Lines that wait to be shown may fill the screen, and hold the oldest id.
  if (screen.past !== 'more' || screen.pending.length > 0 || page.view.scrollTop > NEAR_TOP_PX) return;
  if (page.log.childElementCount >= MAX_LINES_READING) return;
  keepingPlace(() => setPast('asked', 'older'));
  hooks.wantOlder(oldestId());
}

function oldestId() {
  const oldest = page.log.querySelector('.message[data-id]');
  return oldest ? Number(oldest.dataset.id) : undefined;
}

// A move upwards means "I want to read", a move down to the end "go on". Where the end is says nothing by itself: it moves
// away with every new line. A room that fits on the screen has nothing to scroll, and so is always at its end.
//
// A move is somebody's wish only if all sizes are as they were. When a screen is turned, the browser moves the view by
// itself as often as the text gets shorter, and tells of it later, when the text may be longer again.
function noticeScroll() {
  const { top, height, room } = whereWeAre();
  const bottom = top + room;
  const goal = Math.min(screen.aim, height - NEAR_END_PX);
  const sameSizes = height === screen.seen.height && room === screen.seen.room;
  if (top < screen.seen.top && bottom < height - 1 && sameSizes) screen.follow = false;
  else if (top > screen.seen.top && bottom >= goal) screen.follow = true;
  if (height <= room) screen.follow = true;
  screen.seen = { top, height, room };
  if (screen.follow) screen.newer = 0;
  showNewer();
  askForOlder();
}

// The wheel and the keys scroll smoothly, which takes a moment, and a busy room does not wait. Upwards, the next lines would
// pull the reader back in the first frame, again and again. Downwards, the end would be further off on arrival, again and
// again. So the wish counts, and not only the move: up is up, and the end is the end there was when somebody set out for it.
function noticeWish(event) {
  const up = event.deltaY < 0 || ['ArrowUp', 'PageUp', 'Home'].includes(event.key);
  const down = event.deltaY > 0 || ['ArrowDown', 'PageDown', 'End'].includes(event.key);
  if (up && page.view.scrollTop > 0) screen.follow = false;
  if (up) screen.aim = Infinity;
  if (down) screen.aim = page.view.scrollHeight - page.view.clientHeight / 4; // lines come while the browser prepares, too
}

// At once and not smoothly: in a busy room a smooth scroll would never arrive.
function scrollToEnd() {
  page.view.scrollTop = page.view.scrollHeight;
  screen.seen = whereWeAre();
}

// Where the view is, how high all of it is, and how much of that has room on the screen.
function whereWeAre() {
  const { scrollTop, scrollHeight, clientHeight } = page.view;
  return { top: scrollTop, height: scrollHeight, room: clientHeight };
}

function showNewer() {
  page.newer.hidden = screen.newer === 0;
  put(page.newer, 'newer', { n: screen.newer });
}
