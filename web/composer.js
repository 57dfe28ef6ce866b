// The box one types in, and the suggestions over it: commands after a slash, names on Tab.

import { commandParts, COMMANDS, isComplete } from './commands.js';
import { keepDraft, recallDraft } from './drafts.js';
import { create, elements } from './elements.js';
import { commandOf, folded, hueOf, lastWordAt, quoted, recipientBegun, withoutRecipient } from './text.js';
import { put, putText } from './words.js';

const USUAL_MESSAGE_BYTES = 65_536; // what a server takes unless it says otherwise
const MAX_SUGGESTIONS = 8;
const KEEP_MS = 300; // a draft is stored this long after a key at the latest

const page = elements('composer', 'text', 'hint', 'suggestions');
const encoder = new TextEncoder();

// What is suggested now: each choice is { text: what the box holds then, show: nodes }. Nothing chosen yet is -1.
const offer = { choices: [], at: -1 };
// For which room the box is typed in; null while the way to another one is asked for: then for the one where we arrive.
const draft = { room: null, timer: 0 };
let hooks = {};
let mostBytes = USUAL_MESSAGE_BYTES; // of a message: for a longer one, the server would close the connection

// `submit(text)` is called with what is to be sent; `names()` gives the names to suggest.
export function prepareComposer({ submit, names, room }) {
  hooks = { submit, names };
  page.composer.addEventListener('submit', (event) => {
    event.preventDefault();
    send();
  });
  page.text.addEventListener('keydown', onKey);
  page.text.addEventListener('input', () => {
    fitBox();
    sayTooLong();
    suggest();
    keepSoon();
  });
  page.text.addEventListener('blur', closeSuggestions);
  // The box keeps the focus, and a phone its keyboard: so it is the press that counts, before the focus would go.
  page.suggestions.addEventListener('pointerdown', (event) => {
    event.preventDefault();
    const row = event.target.closest('li');
    if (row) accept([...page.suggestions.children].indexOf(row));
  });
  prepareDrop();
  window.addEventListener('pagehide', keepNow);
  document.addEventListener('visibilitychange', keepNow); // a phone may end a hidden page without another word
  moveDraft(room); // to what a browser has put back by itself, or was typed while the page was loading

  // With a mouse there is a keyboard beside it. On a phone the focus would throw the keyboard over the room.
  if (matchMedia('(pointer: fine)').matches) page.text.focus();
}

// The server's own limit, as the welcome tells it; an older server tells none. What waits in the box may be too long for it.
export function limitMessages(bytes) {
  mostBytes = Number.isSafeInteger(bytes) && bytes > 0 ? bytes : USUAL_MESSAGE_BYTES;
  if (tooLong()) sayTooLong();
}

export function focusBox() {
  page.text.focus();
}

export function disableBox() {
  page.text.disabled = true;
}

export function isBoxEmpty() {
  return page.text.value === '';
}

export function emptyBox() {
  setBox('');
  keepNow();
}

// From now on, what is typed is for the room where we arrive.
export function expectMove() {
  draft.room = null;
}

// We are in this room. What was typed for the one before stays with that one, and what waits here comes back.
export function moveDraft(room) {
  if (room === draft.room) return;
  keepNow();
  const typed = draft.room === null ? page.text.value : '';
  draft.room = room;
  const parts = [recallDraft(room), typed].filter((text) => text !== '');
  setBox([...new Set(parts)].join('\n')); // once, if a browser has put back by itself what is kept here
}

// Puts texts back into the box, before what has been typed there meanwhile.
export function giveBack(texts, why) {
  setBox([...texts, page.text.value].filter((text) => text !== '').join('\n'));
  hint(why);
}

// Where the caret is, in place of what is marked.
export function insert(text) {
  page.text.setRangeText(text, page.text.selectionStart, page.text.selectionEnd, 'end');
  page.text.dispatchEvent(new Event('input'));
}

// Begins a private message. What was typed already becomes its text, unless it is a command itself.
export function whisperTo(name) {
  const text = withoutRecipient(page.text.value); // it was for another one until now
  setBox(`/msg ${quoted(name)} ${commandOf(text) === null ? text : ''}`);
  page.text.focus();
}

export function hint(key = '', values = {}) {
  if (key) put(page.hint, key, values);
  else if (page.hint.textContent) putText(page.hint, '');
}

// How many bytes are in the box, if they are more than can be sent; else 0. The limit is in bytes, since that is what travels:
// 65,536 Latin letters, but 21,845 Chinese characters.
function tooLong() {
  const text = page.text.value;
  if (text.length * 3 <= mostBytes) return 0; // no UTF-16 unit needs more than three bytes: no need to count
  const bytes = encoder.encode(text).length;
  return bytes > mostBytes ? bytes : 0;
}

function sayTooLong() {
  const bytes = tooLong();
  if (bytes > 0) hint('too-long', { bytes, most: mostBytes });
  else hint();
}

function send() {
  closeSuggestions();
  if (page.text.value.trim() === '') return;
  sayTooLong();
  if (!tooLong()) hooks.submit(page.text.value);
}

function setBox(text) {
  page.text.value = text;
  page.text.setSelectionRange(text.length, text.length);
  fitBox();
  closeSuggestions();
  keepSoon();
}

// Not at each key: a long draft takes a browser some milliseconds to store.
function keepSoon() {
  draft.timer ||= setTimeout(keepNow, KEEP_MS);
}

function keepNow() {
  clearTimeout(draft.timer);
  draft.timer = 0;
  if (draft.room !== null) keepDraft(draft.room, page.text.value);
}

// As high as the text in it; the style sheet says where that ends.
function fitBox() {
  page.text.style.height = 'auto';
  page.text.style.height = `${page.text.scrollHeight}px`;
}

// Enter sends, Shift+Enter does not. While an input method is composing (as for Chinese or Japanese), Enter picks a word;
// Safari reports that last Enter as no longer composing, but keeps the old code 229 for it.
function onKey(event) {
  if (event.isComposing || event.keyCode === 229) return;
  if (chooseByKey(event)) {
    event.preventDefault();
    return;
  }
  if (event.key !== 'Enter' || event.shiftKey) return;
  event.preventDefault();
  send();
}

// ---------------------------------------------------------------------------------------------------------------------
// What is dropped or pasted.

// A browser leaves the page for a file or a link that is dropped on it, and the room and the draft are gone. Text goes into
// the box, wherever it is dropped; files cannot be sent, and that is said.
function prepareDrop() {
  const isField = (element) => element.matches?.('textarea, input');
  const holdsFiles = ({ dataTransfer }) => dataTransfer?.types.includes('Files') ?? false;
  const isOurs = (event) => holdsFiles(event) || !isField(event.target); // all other, the browser does well
  window.addEventListener('dragover', (event) => isOurs(event) && event.preventDefault());
  window.addEventListener('drop', (event) => {
    if (!isOurs(event)) return;
    event.preventDefault();
    if (holdsFiles(event)) hint('text-only');
    else addText(event.dataTransfer?.getData('text/plain') ?? '');
  });
  page.text.addEventListener('paste', ({ clipboardData }) => {
    if (clipboardData?.types.includes('Files') && !clipboardData.types.includes('text/plain')) hint('text-only');
  });
}

function addText(text) {
  if (text === '' || page.text.disabled) return;
  const { selectionEnd } = page.text;
  page.text.setSelectionRange(selectionEnd, selectionEnd); // what is marked was perhaps dropped a moment before
  insert(text);
  page.text.focus();
}

// ---------------------------------------------------------------------------------------------------------------------
// Suggestions.

function chooseByKey({ key, shiftKey, ctrlKey, altKey, metaKey }) {
  if (shiftKey || ctrlKey || altKey || metaKey) return false;
  const count = offer.choices.length;
  if (key === 'Tab' && count === 0) return completeName();
  if (count === 0) return false;
  if (key === 'ArrowDown' || key === 'ArrowUp') {
    mark((offer.at + (key === 'ArrowDown' ? 1 : count - 1)) % count);
  } else if (key === 'Tab') {
    accept(offer.at);
  } else if (key === 'Enter') {
    if (isComplete(page.text.value.slice(1))) return false; // nothing to add: it is sent
    accept(offer.at);
  } else if (key === 'Escape') {
    closeSuggestions();
  } else {
    return false;
  }
  return true;
}

// What is being typed decides: a command, or the name in "/msg NAME". Only at the end of the text, where typing happens.
function suggest() {
  const typed = page.text.value;
  if (page.text.selectionEnd !== typed.length) return closeSuggestions();
  const command = /^\/([a-z]*)$/.exec(typed);
  if (command) {
    const known = COMMANDS.filter((one) => one.startsWith(command[1]));
    return open(known.map((one) => ({
      text: `/${one}${isComplete(one) ? '' : ' '}`,
      show: commandParts(one),
    })));
  }
  const name = recipientBegun(typed);
  return open(name === null ? [] : namesLike(name).map((one) => nameChoice(one, `/msg ${quoted(one)} `)));
}

// Tab after the beginning of a name: one that fits is put in, among several one chooses. Otherwise Tab is the browser's.
function completeName() {
  const { value, selectionEnd } = page.text;
  const at = lastWordAt(value);
  if (at === value.length || selectionEnd !== value.length) return false;
  const before = value.slice(0, at);
  const found = namesLike(value.slice(at).replace(/^@/, ''));
  open(found.map((one) => nameChoice(one, `${before}${one}${before === '' ? ': ' : ' '}`)));
  if (found.length === 1) accept(0);
  return found.length > 0;
}

function namesLike(start) {
  const sought = folded(start);
  return hooks.names().filter((name) => folded(name).startsWith(sought)).slice(0, MAX_SUGGESTIONS);
}

function nameChoice(name, text) {
  return { text, show: [create('bdi', hueOf(name), name)] };
}

function open(choices) {
  offer.choices = choices;
  page.suggestions.replaceChildren(...choices.map(({ show }, index) => {
    const row = create('li', '');
    row.id = `suggestion-${index}`;
    row.setAttribute('role', 'option');
    row.append(...show);
    return row;
  }));
  page.suggestions.hidden = choices.length === 0;
  mark(choices.length > 0 ? 0 : -1);
}

function closeSuggestions() {
  if (offer.choices.length > 0) open([]);
}

function mark(at) {
  offer.at = at;
  [...page.suggestions.children].forEach((row, index) => row.setAttribute('aria-selected', String(index === at)));
  page.suggestions.children[at]?.scrollIntoView({ block: 'nearest' });
  if (at < 0) page.text.removeAttribute('aria-activedescendant');
  else page.text.setAttribute('aria-activedescendant', `suggestion-${at}`);
}

function accept(at) {
  const { text } = offer.choices[at];
  setBox(text);
  page.text.dispatchEvent(new Event('input')); // "/msg " goes on with names
}
