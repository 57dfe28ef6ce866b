// Everything the page itself says, in each of its languages, and how dates and numbers look in them.
//
// What is on the screen is said again when the language changes, so each element is told a key and not a sentence.

import { keep, recall } from './memory.js';

// key: [English, Chinese]. `{x}` is filled in; where a sentence has a "|", its first half is for exactly one `{n}`.
const TABLE = {
  // The connection.
  'connecting': ['Connecting…', '正在连接…'],
  'online': ['Online', '已连接'],
  'people': ['{n} person|{n} people', '{n} 人在线'],
  'retry-in': ['Reconnecting in {n} s', '{n} 秒后重连'],
  'retry': ['Try now', '立即重试'],
  'no-answer': ['The server does not answer.', '服务器没有响应。'],
  'goodbye': ['The server ended the connection.', '服务器结束了连接。'],
  'lost': ['Connection lost.', '连接已断开。'],
  'unreachable': ['The server cannot be reached.', '无法连接服务器。'],
  'close-1001': ['The server is going down.', '服务器正在关闭。'],
  'close-1008': ['The server closed the connection.', '服务器关闭了连接。'],
  'close-1009': ['The message was too big for the server.', '消息过大，服务器拒收。'],
  'close-1013': ['The server is full.', '服务器已满。'],
  'close-reason': ['The server closed the connection ({reason}).', '服务器关闭了连接（{reason}）。'],
  'not-connected': ['Not connected', '未连接'],
  'unsupported': [
    'This browser has no WebSocket, which this chat room needs. Please use a newer browser.',
    '此浏览器不支持聊天室所需的 WebSocket，请换用较新的浏览器。',
  ],

  // What happens in the room.
  'moved': ['You are in {room} now, as {name}', '你已进入 {room}，名字是 {name}'],
  'back': ['You are back, as {name}', '你已重新连接，名字是 {name}'],
  'joined': ['{name} joined', '{name} 进来了'],
  'left': ['{name} left', '{name} 离开了'],
  'renamed': ['{from} is now called {name}', '{from} 改名为 {name}'],
  'renamed-me': ['You are now called {name}', '你现在的名字是 {name}'],
  'reset': ['Earlier messages are no longer kept on the server', '更早的消息在服务器上已不再保留'],
  'who': ['Here now: {names}', '当前在线：{names}'],
  'who-more': ['Here now, {n} in all: {names} …', '当前共 {n} 人在线：{names} …'],
  'whisper-to': ['to {name}, private', '发给 {name}（私聊）'],
  'whisper-from': ['from {name}, private', '来自 {name}（私聊）'],
  'older': ['Loading older messages…', '正在加载更早的消息…'],
  'beginning': ['This is the beginning of this room', '这里是本房间最早的消息'],
  'newer': ['{n} new message ↓|{n} new messages ↓', '{n} 条新消息 ↓'],
  'unfold': ['Show all', '展开全文'],
  'fold': ['Show less', '收起'],
  'empty': ['Nobody has said anything yet.', '还没有人说话。'],
  'empty-try': [
    'Open this page in a second tab and talk to yourself, or try',
    '在另一个标签页打开本页和自己聊聊，或者试试',
  ],
  'messages': ['Messages', '消息'],

  // The people.
  'roster': ['People in this room', '房间成员'],
  'roster-large': ['{n} people are here, too many to list.', '房间里有 {n} 人，人数较多，不逐一列出。'],
  'roster-hint': ['Choose a name to write to that person alone.', '点选名字即可私聊。'],
  'you': ['you', '我'],
  'settings': ['Your name and settings', '名字与设置'],

  // The settings.
  'your-name': ['Your name', '你的名字'],
  'your-name-hint': ['1 to 32 characters. It is remembered in this browser.', '1 到 32 个字符，会记在此浏览器中。'],
  'change': ['Change', '修改'],
  'language': ['Language · 语言', '语言 · Language'],
  'notify': ['Notify me when my name is said or a private message comes', '有人提到我或私聊我时发送桌面通知'],
  'notify-denied': ['The browser does not allow notifications from here.', '浏览器不允许此页面发送通知。'],
  'close': ['Close', '关闭'],

  // The box.
  'write': ['Write a message', '写消息'],
  'message': ['Message', '消息'],
  'message-to': ['Message {room}', '发消息到 {room}'],
  'send': ['Send', '发送'],
  'keys': ['Enter sends · Shift + Enter makes a new line · / shows commands', 'Enter 发送 · Shift + Enter 换行 · / 查看命令'],
  'too-early': ['Not connected yet: your text stays here until it can be sent.', '尚未连接：文字会留在这里，连接后再发送。'],
  'can-send': ['Connected: it can be sent now.', '已连接，现在可以发送。'],
  'doubtful': [
    'The connection broke before your last message came back. If it got lost, it will be put back here.',
    '连接断开时，你最后的消息尚未得到确认。如果丢失，会放回这里。',
  ],
  'undelivered': ['This did not reach the room. It can be sent again.', '这条消息没有送达，可以重新发送。'],
  'not-taken': ['The server did not take this.', '服务器没有接受这条消息。'],
  'too-long': ['This is too long: {bytes} bytes, and the most is {most}.', '太长了：{bytes} 字节，上限是 {most} 字节。'],
  'suggestions': ['Suggestions', '建议'],
  'emoji': ['Emoji', '表情'],
  'emoji-faces': ['Faces', '表情'],
  'emoji-people': ['Hands and people', '手势与人物'],
  'emoji-nature': ['Animals and nature', '动物与自然'],
  'emoji-food': ['Food and drink', '食物与饮料'],
  'emoji-going': ['Going out', '出行与活动'],
  'emoji-signs': ['Hearts and signs', '爱心与符号'],

  // The commands: their arguments, and what they do.
  'help': ['What you can type', '可以输入的命令'],
  'args-nick': ['NAME', '名字'],
  'args-join': ['ROOM', '房间'],
  'args-msg': ['NAME TEXT', '名字 内容'],
  'args-me': ['ACTION', '动作'],
  'args-who': ['', ''],
  'args-help': ['', ''],
  'does-nick': ['take another name', '改名'],
  'does-join': ['go to another room', '进入另一个房间'],
  'does-msg': ['write to one person', '私聊某人'],
  'does-me': ['say what you do', '描述你的动作'],
  'does-who': ['see who is here', '看看谁在线'],
  'does-help': ['see the commands', '查看命令'],

  // What the server refuses, by the code of its error. Its own sentence is English already, so only Chinese needs one.
  'error-binary-not-accepted': ['', '本房间只接受文字消息。'],
  'error-unknown-command': ['', '没有这个命令。输入 /help 查看全部命令。'],
  'error-bad-arguments': ['', '命令的参数缺失或有误。输入 /help 查看用法。'],
  'error-bad-name': ['', '不能用这个名字：须为 1 到 32 个普通字符，且不能是“Tourist 数字”。'],
  'error-name-taken': ['', '这个名字已有人使用。'],
  'error-name-too-similar': ['', '这个名字与房间里某人的名字太相似。'],
  'error-no-such-name': ['', '房间里没有叫这个名字的人。'],
  'error-bad-room': ['', '房间名无效：须为 1 到 64 字节，且不含“/”和不可见字符。'],
  'error-too-many-rooms': ['', '房间数量已达上限。'],
  'error-bad-since': ['', '请求的消息编号无效。'],
  'error-since-in-future': ['', '请求的消息尚不存在。'],
  'error-slow-down': ['', '操作太频繁，请稍等片刻。'],
  'error-message-too-big': ['', '消息太大。'],
  'error-history-unavailable': ['', '消息暂时无法保存，因此没有人看到。'],
};

const LANGUAGES = ['en', 'zh-Hans'];
const said = new WeakMap(); // element -> what it was told
let now = LANGUAGES[0];
let locale;
let formats = {};

// Says all that index.html marks, in the language chosen here before, or else in the first one that the reader knows.
export function prepareWords() {
  for (const element of document.querySelectorAll('[data-say]')) put(element, element.dataset.say);
  const known = (navigator.languages ?? []).map((tag) => LANGUAGES.find((one) => sameLanguage(one, tag)));
  setLanguage(LANGUAGES.includes(recall('language')) ? recall('language') : (known.find(Boolean) ?? LANGUAGES[0]));
}

export function language() {
  return now;
}

export function chooseLanguage(choice) {
  keep('language', choice);
  setLanguage(choice);
}

// The text of a key.
export function words(key, values = {}) {
  return parts(key, values).map((part) => part.text).join('');
}

// Lets an element say a key, now and whenever the language changes. `values` that are names become <bdi>: their direction
// is their own. `sentence` is the server's, which is English: it stands where the table has nothing to say.
export function put(element, key, values = {}, sentence = '') {
  element.dataset.say = key;
  said.set(element, { ...said.get(element), values, sentence });
  fill(element);
}

// Lets an element say just this, in whatever language it is.
export function putText(element, text) {
  delete element.dataset.say;
  element.textContent = text;
}

// The same for what is not seen: 'aria-label', 'placeholder', 'title'.
export function putAttribute(element, attribute, key, values = {}) {
  element.setAttribute(`data-${attribute}`, key);
  said.set(element, { ...said.get(element), [attribute]: values });
  element.setAttribute(attribute, words(key, values));
}

export function clock(time) {
  return formats.clock.format(time);
}

export function exact(time) {
  return formats.exact.format(time);
}

export function day(time) {
  return formats.day.format(time);
}

function sameLanguage(one, other) {
  return one.split('-')[0] === other.toLowerCase().split('-')[0];
}

// Dates are as the reader's own region writes them (en-GB, zh-HK), as long as it is in the language of the page.
function setLanguage(choice) {
  now = choice;
  locale = (navigator.languages ?? []).find((tag) => sameLanguage(choice, tag)) ?? choice;
  formats = {
    clock: new Intl.DateTimeFormat(locale, { timeStyle: 'short' }),
    day: new Intl.DateTimeFormat(locale, { dateStyle: 'full' }),
    exact: new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'medium' }),
  };
  document.documentElement.lang = choice;
  for (const element of document.querySelectorAll('[data-say]')) fill(element);
  for (const attribute of ['aria-label', 'placeholder', 'title']) {
    for (const element of document.querySelectorAll(`[data-${attribute}]`)) {
      const values = said.get(element)?.[attribute] ?? {};
      element.setAttribute(attribute, words(element.getAttribute(`data-${attribute}`), values));
    }
  }
  for (const element of document.querySelectorAll('time')) {
    const time = new Date(element.dateTime);
    element.textContent = element.closest('.day') ? day(time) : clock(time);
    if (element.title) element.title = exact(time);
  }
}

function fill(element) {
  const { values = {}, sentence = '' } = said.get(element) ?? {};
  const key = element.dataset.say;
  // By code, or by the server's own sentence, which is English; or, if it sent none, by the bare code.
  const shown = sentence && (now === 'en' || !has(key)) ? [{ text: sentence }] : parts(key, values);
  element.replaceChildren(...shown.map(({ text, isName }) => {
    if (!isName) return text;
    const bdi = document.createElement('bdi');
    bdi.textContent = text;
    return bdi;
  }));
}

// A plain object would also answer to "constructor" and its like, and codes come from outside.
function has(key) {
  return Object.hasOwn(TABLE, key);
}

function parts(key, values) {
  const entry = has(key) ? TABLE[key][LANGUAGES.indexOf(now)] : '';
  if (key.startsWith('error-') && !entry) return [{ text: key.slice('error-'.length) }];
  const [one, many = one] = entry.split('|');
  return (values.n === 1 ? one : many).split(/(\{\w+\})/).filter(Boolean).map((piece) => {
    const name = /^\{(\w+)\}$/.exec(piece)?.[1];
    if (name === undefined || !Object.hasOwn(values, name)) return { text: piece };
    const value = values[name];
    return typeof value === 'number' ? { text: value.toLocaleString(locale) } : { text: value, isName: true };
  });
}
