// What the page finds out about a text: the addresses in it, whom it names, which command it is.
//
// Nothing here touches the screen, so each function can be tried alone. The texts are what others said or what somebody
// pasted: any signs in any order, 64 KiB and more. So each function takes time in proportion to the length of its text, and
// tests/page/texts.rs holds it to that. A pattern must not begin again at every sign (`\s+"?[^"]*$` does, on spaces and
// quotes); where that is hard to see, the text is walked by hand.

const MAX_LINKS = 200; // of one message: 64 KiB have room for 7,000, and each is an element on the screen
const MAX_ADDRESS_CHARS = 8_000; // what RFC 9110 section 4.1 asks servers to take; a longer one leads nowhere
const MAX_HOST_CHARS = 300; // a name in the DNS has 253, and a port up to 6; for longer ones Punycode takes ever more time
const LONG_TEXT_CHARS = 1500; // longer texts are folded, or one pasted file would push everybody else off the screen
const LONG_TEXT_LINES = 20;
const HUES = 12; // as many .hue-N classes are in style.css
const HUE_CHARS = 64; // a name has 32 characters; a server that sends longer ones is none of ours
const MAX_MARKS = 30; // on one letter, as in the stream-safe format of UAX 15: to order n marks takes n * n steps
const WINDOW = 256; // a text is segmented in windows of this length: a browser takes n * n steps for n words at once
const WINDOW_MARGIN = 64; // what a window sees of its neighbours: more than any word
const MAX_KOREAN_ENDING = 8; // syllables: the longest that is made of the ones below

const encoder = new TextEncoder();

// ---------------------------------------------------------------------------------------------------------------------
// Addresses.
//
// An address is everything behind "https://" up to the first sign that ends it. What may stand in an address is far more
// than people write in one, so the rules ask where the sentence goes on:
//
// - Spaces, controls, invisible signs and those that turn the direction of writing, quotes, brackets of other scripts and
//   full stops of other scripts end it, wherever they are. (An address never shows less than it has, or in another order.)
// - A closing bracket ends it, unless it was opened in the address: "(see https://example.org/a_(b))".
// - Letters of a script that has no spaces between words, and pictures, end it behind any other letter or digit:
//   "https://a.example/x谢谢". They belong to it where a new part of the address begins: "https://ja.wikipedia.org/wiki/日本".
//   Who copies an address out of a browser gets percent signs, so both are rare; a sentence that goes on is the less rare.
// - The last sign of a sentence (.,;:!?'*_~|) does not belong to it, nor does an opening bracket at the end.

const ENDS_ADDRESS = new RegExp([
  '[\\s<>"`\\\\]', // not allowed in any address, RFC 3986
  '[\\p{C}\\p{Z}\\p{Default_Ignorable_Code_Point}\\p{Bidi_Control}]',
  '(?![\\x21-\\x7E])[\\p{Ps}\\p{Pe}\\p{Pi}\\p{Pf}\\p{Quotation_Mark}\\p{Terminal_Punctuation}\\p{Sentence_Terminal}]',
  '[…‥⋯—―⸺⸻¡¿•‖※]',
  '(?=[\\u3000-\\u303F\\uFF00-\\uFF64])[\\p{P}\\p{S}]', // the signs between Chinese letters, and the wide forms of ours
].join('|'), 'u');
const MAY_FOLLOW_IN_HOST = /[\p{L}\p{M}\p{N}.\-_%:@/?#]/u;
const SOFT = /[.,;:!?'*_~|([{]|(?![\x21-\x7E])\p{P}/u;
const PART_BEGINS_BEHIND = /[/=&#\-_+%$]/; // in a path; in a host it is the dot as well
const PART_IS_OPENED_BY = /[([{~@|]/; // as in "/ABC_(曖昧)" or "/~用户"; behind a word the sentence goes on: "/x(谢谢)"
const CLOSED_BY = { ')': '(', ']': '[', '}': '{' };

// Han, kana, Hangul, Thai and their like: written without spaces, or with endings that follow a name at once.
// (Not the marks of many scripts: Tai Le has the accent of a decomposed é.)
const DENSE = new RegExp(`(?!\\p{Script=Inherited})[${[
  'Han', 'Hiragana', 'Katakana', 'Bopomofo', 'Hangul', 'Yi', 'Thai', 'Lao', 'Khmer', 'Myanmar', 'Tibetan', 'Tai_Tham',
  'New_Tai_Lue', 'Tai_Viet', 'Tai_Le', 'Javanese', 'Balinese',
].map((script) => `\\p{Script_Extensions=${script}}`).join('')}]`, 'u');
const PICTURE = /(?![\0-\x7F])[\p{S}\p{Extended_Pictographic}\p{Regional_Indicator}]/u;
const WORD_SIGN = /[\p{L}\p{N}]/u;
const ASCII_PUNCTUATION = /[\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E]/;

// The pieces of a text in their order: { text }, or { text, href } for what can be a link. A link leads where it says: http
// or https only, without a name and password in it (https://bank.example@evil.example), as the browser's own parser sees it.
export function pieces(text) {
  const found = [];
  const scheme = /https?:\/\//gi;
  let done = 0;
  for (let links = 0; links < MAX_LINKS;) {
    const match = scheme.exec(text);
    if (!match) break;
    const { end, next } = addressFrom(text, scheme.lastIndex);
    const address = text.slice(match.index, end);
    const mayBeLink = end > scheme.lastIndex && address.length <= MAX_ADDRESS_CHARS;
    const href = mayBeLink ? hrefOf(address) : '';
    scheme.lastIndex = next;
    if (!href) continue;
    if (match.index > done) found.push({ text: text.slice(done, match.index) });
    found.push({ text: address, href });
    done = end;
    links += 1;
  }
  if (done < text.length) found.push({ text: text.slice(done) });
  return found;
}

function hrefOf(address) {
  try {
    const { protocol, username, password, href } = new URL(address);
    return ['http:', 'https:'].includes(protocol) && !username && !password ? href : '';
  } catch {
    return '';
  }
}

// Where an address ends that has its host from `start` on, and where the next one may begin.
function addressFrom(text, start) {
  const open = { '(': 0, '[': 0, '{': 0 };
  let at = start + ipv6Length(text, start);
  let end = at; // behind the last sign that may be the last of an address
  let inHost = true;
  let part = ''; // what the part of the address that is being read began with: '', 'plain' or 'dense'
  let mayBegin = true; // a part, here
  while (at < text.length) {
    const sign = String.fromCodePoint(text.codePointAt(at));
    const kind = kindOf(sign);
    if (kind.endsAddress || (inHost && !kind.isOfHost)) break;
    if (inHost && at - start > MAX_HOST_CHARS) break;
    if ('/?#'.includes(sign)) inHost = false;
    const isBehindWord = part !== '';
    if (kind.isDense) {
      if (part === 'plain' && !(inHost && labelGoesOn(text, at))) break;
      if (part === '' && !mayBegin) break;
      part ||= 'dense';
    } else if (kind.isWord) {
      part ||= 'plain';
    } else if (kind.isPunctuation) {
      part = '';
    }
    if (sign in open) open[sign] += 1;
    if (sign in CLOSED_BY && (open[CLOSED_BY[sign]] -= 1) < 0) break;
    at += sign.length;
    mayBegin = PART_BEGINS_BEHIND.test(sign) || (inHost && sign === '.') || (PART_IS_OPENED_BY.test(sign) && !isBehindWord);
    if (!kind.isSoft) end = at;
  }
  return { end: inHost && at - start > MAX_HOST_CHARS ? start : end, next: at };
}

// What the patterns say about a sign. They are asked once about each, until there are too many to remember.
const MAX_KINDS = 4096;
const kinds = new Map();

function kindOf(sign) {
  const known = kinds.get(sign);
  if (known) return known;
  const kind = {
    endsAddress: ENDS_ADDRESS.test(sign),
    isOfHost: MAY_FOLLOW_IN_HOST.test(sign),
    isDense: DENSE.test(sign) || PICTURE.test(sign),
    isWord: WORD_SIGN.test(sign),
    isPunctuation: ASCII_PUNCTUATION.test(sign),
    isSoft: SOFT.test(sign),
  };
  if (kinds.size < MAX_KINDS) kinds.set(sign, kind);
  return kind;
}

// "[::1]", the one kind of host with brackets.
function ipv6Length(text, start) {
  const host = /\[[0-9a-f:.]{2,45}\]/iy;
  host.lastIndex = start;
  return host.test(text) ? host.lastIndex - start : 0;
}

// "https://t恤.example": letters of both kinds, but the host is not at its end. A label has 63 signs at most.
function labelGoesOn(text, at) {
  const label = /[\p{L}\p{M}\p{N}-]{1,63}\.[a-z]/iuy;
  label.lastIndex = at;
  return label.test(text);
}

// ---------------------------------------------------------------------------------------------------------------------
// Whom a text names.

const JOINS = /[\p{M}\p{Emoji_Modifier}\u200D]/u; // belongs to the sign before it
const WORD = /[\p{L}\p{M}\p{N}\p{Regional_Indicator}\p{Emoji_Modifier}\u200D_]/u;
const HANGUL = /\p{Script=Hangul}/u;
const KATAKANA = /\p{Script_Extensions=Katakana}/u;
const FLAG_HALF = /\p{Regional_Indicator}/u;
const LETTER = /\p{L}/u;

// What Koreans write behind a name without a space: titles and particles, also several of them (님께서는).
const KOREAN_ENDING = new RegExp(`^(?:${[
  '님', '씨', '군', '양', '형', '누나', '오빠', '언니', '선배', '후배', '쌤', '샘', '선생', '교수', '팀장', '대리', '과장', '부장',
  '사장', '대표', '네', '들', '이', '가', '은', '는', '을', '를', '의', '에', '에게', '서', '께', '한테', '더러', '보고', '와', '과',
  '랑', '하고', '도', '만', '까지', '부터', '마저', '조차', '처럼', '같이', '만큼', '보다', '나', '든', '든지', '으로', '로', '써',
  '아', '야', '여', '다', '에요', '예요', '입니다', '입니까', '인가요', '인데', '면', '라고', '라는', '라면', '요', '죠', '지', '뿐',
  '밖에', '마다', '대로',
].join('|')})+$`, 'u');

// As a word and not within one: "Ann" is not in "Anna", and राम not in रामायण. Upper and lower case are the same, and so are
// the ways in which Unicode can write one letter.
export function isMentioned(text, name) {
  const [said, sought] = [folded(text), folded(name)];
  if (sought === '') return false;
  const edges = newEdges(said);
  for (let at = said.indexOf(sought); at >= 0; at = said.indexOf(sought, at + 1)) {
    if (standsAlone(said, at, at + sought.length, edges)) return true;
  }
  return false;
}

// One spelling for all that a reader takes for the same. What cannot be seen does not count, but a space without width is
// a space; and joined pictures (a family) stay joined.
export function folded(text) {
  return text
    .replaceAll('\u200B', ' ')
    .replace(/(\u200D(?=\p{Extended_Pictographic}))|\p{Default_Ignorable_Code_Point}/gu, '$1')
    .replace(new RegExp(`(\\p{M}{${MAX_MARKS}})\\p{M}+`, 'gu'), '$1')
    .normalize('NFKC')
    .replace(/[’‘ʼʻ‛′`´]/g, "'") // what a phone makes of an apostrophe
    .replace(/\s+/g, ' ')
    .toUpperCase() // ß is SS, and all three sigmas are one
    .toLowerCase()
    .replaceAll('i\u0307', 'i') // İ
    .replaceAll('ς', 'σ');
}

function standsAlone(said, from, to, edges) {
  const [first, last] = [signFrom(said, from), signBefore(said, to)];
  const [before, after] = [signBefore(said, from), signFrom(said, to)];
  if (JOINS.test(after) || before === '\u200D') return false;
  // A segment that ends or begins within the name shows that the dictionary does not know it, as in 张|明天 for 张明: then
  // what it makes of the signs around means nothing. Where one segment holds the name and more, it is another word.
  const isSplit = () => edges.hasWithin(from, to);
  return isEdge(before, first, () => edges.has(from), isSplit)
    && (isEdge(after, last, () => edges.has(to), isSplit) || isKoreanEnding(said, last, to));
}

// Whether a word ends between a name and the sign outside of it.
function isEdge(outside, inside, isKnown, isSplit) {
  if (!WORD.test(outside) || !WORD.test(inside)) return true; // a space, a comma, the end of the text
  const areBoth = (kind) => kind.test(outside) && kind.test(inside);
  if (areBoth(HANGUL)) return false; // Korean has spaces between words
  if (areBoth(KATAKANA) || areBoth(FLAG_HALF)) return isKnown(); // names from abroad stand in katakana, and in no dictionary
  if (areBoth(DENSE)) return isKnown() || isSplit();
  if (DENSE.test(outside)) return true; // "Ann님", "Annさん"
  return DENSE.test(inside) && LETTER.test(outside); // "王Ann"; but 민수2 is somebody else
}

function isKoreanEnding(said, last, to) {
  if (!HANGUL.test(last)) return false;
  const run = /\p{Script=Hangul}+/uy;
  const near = said.slice(to, to + MAX_KOREAN_ENDING + 1);
  const ending = run.exec(near)?.[0] ?? '';
  return ending.length <= MAX_KOREAN_ENDING && KOREAN_ENDING.test(ending);
}

// Where the browser's dictionaries of the languages without spaces see a word end. Only the windows around a name are
// looked at. A browser without a segmenter sees edges everywhere: there a name is found too often rather than not at all.
function newEdges(said) {
  if (!Intl.Segmenter) return { has: () => true, hasWithin: () => true };
  const segmenter = new Intl.Segmenter(undefined, { granularity: 'word' });
  const windows = new Map(); // number of the window -> the edges in it
  const has = (edge) => {
    const number = Math.floor(edge / WINDOW);
    if (!windows.has(number)) windows.set(number, edgesOf(segmenter, said, number));
    return windows.get(number).has(edge);
  };
  const hasWithin = (from, to) => {
    for (let edge = from + 1; edge < to; edge += 1) if (has(edge)) return true;
    return false;
  };
  return { has, hasWithin };
}

function edgesOf(segmenter, said, number) {
  const start = Math.max(0, number * WINDOW - WINDOW_MARGIN);
  const window = said.slice(start, (number + 1) * WINDOW + WINDOW_MARGIN);
  return new Set(Array.from(segmenter.segment(window), ({ index }) => start + index));
}

function signFrom(text, at) {
  return at < text.length ? String.fromCodePoint(text.codePointAt(at)) : '';
}

function signBefore(text, at) {
  const pair = at > 1 ? text.codePointAt(at - 2) : 0;
  if (pair > 0xFFFF) return String.fromCodePoint(pair);
  return text.slice(Math.max(0, at - 1), at);
}

// ---------------------------------------------------------------------------------------------------------------------
// Drafts and commands.

const UNSEEN = /[\s\p{Z}\p{C}\p{M}\p{Default_Ignorable_Code_Point}\u2800\u{1D159}\uFFFC]*/u;
const SLASHES = '/／⁄∕⧸';
// Typed in place of a slash. The server takes them for one only in front of a private message, and refuses that.
const SLIPS = '、､・･\\\\＼?？.。╱⟋';
const PRIVATE = '[mMｍＭ][sSｓＳ][gGｇＧ]\\s+\\S+\\s+\\S';
const COMMAND = new RegExp(`^${UNSEEN.source}(?:[${SLASHES}](?![${SLASHES}])|[${SLIPS}](?=${PRIVATE}))(\\S{0,20})`, 'u');

// The word of a command: "nick" of "/nick Ann"; null for what is no command. As the server reads it: what cannot be seen
// before the slash does not count, nor does how wide the slash and the word are, and two slashes begin a message. What looks
// like a private message with a slip for its slash is a command, too: it does not come back from the room.
export function commandOf(text) {
  return COMMAND.exec(text)?.[1].normalize('NFKC').toLowerCase() ?? null;
}

// The name that is being typed in "/msg NAME" or "/msg "NAME", as far as it goes; null when something else is typed.
export function recipientBegun(draft) {
  if (!/^\/msg\s/.test(draft)) return null;
  const name = draft.slice('/msg'.length).trimStart().replace(/^"/, '');
  return name.includes('"') ? null : name;
}

// A draft without the "/msg NAME" at its beginning.
export function withoutRecipient(draft) {
  if (!/^\/msg\s/.test(draft)) return draft;
  const rest = draft.slice('/msg'.length).trimStart();
  const behind = rest.slice(rest.startsWith('"') ? quotedLength(rest) : rest.search(/\s|$/));
  return behind.replace(/^\s/, '');
}

// Of a name in quotes at the beginning of a text; without a closing quote it is the first word.
function quotedLength(text) {
  for (let at = 1; at < text.length; at += text[at] === '\\' ? 2 : 1) {
    if (text[at] === '"') return at + 1;
  }
  return text.search(/\s|$/);
}

// As the server reads a name: in quotes, with a backslash before a quote or a backslash.
export function quoted(name) {
  return `"${name.replace(/["\\]/g, '\\$&')}"`;
}

// Where the last word of a text begins.
export function lastWordAt(text) {
  let at = text.length;
  while (at > 0 && !/\s/.test(text[at - 1])) at -= 1;
  return at;
}

// ---------------------------------------------------------------------------------------------------------------------
// All other.

export function isLong(text) {
  if (text.length > LONG_TEXT_CHARS) return true;
  return text.split('\n', LONG_TEXT_LINES + 1).length > LONG_TEXT_LINES;
}

// The beginning of a text, for where there is little room; a sign is never cut in halves.
export function clipped(text, chars) {
  if (text.length <= chars) return text;
  const end = text.codePointAt(chars - 1) > 0xFFFF ? chars - 1 : chars;
  return `${text.slice(0, end)}…`;
}

// The same name has the same colour on every screen and every day, without anybody keeping a list: it is a hash (FNV-1a).
export function hueOf(name) {
  let hash = 0x811c9dc5;
  for (const unit of encoder.encode(name.slice(0, HUE_CHARS))) hash = Math.imul(hash ^ unit, 0x01000193);
  return `hue-${((hash ^ (hash >>> 15)) >>> 0) % HUES}`;
}

// A value that came as JSON, as a text. A server may send anything in place of one.
export function asText(value) {
  if (value === undefined || value === null) return '';
  // String() calls toString(), which in an object that came as JSON may be a number.
  if (typeof value !== 'object') return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return ''; // nested so deep that the browser gives up
  }
}
