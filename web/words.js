// Everything the page itself says, in each of its languages, and how dates and numbers look in them.
//
// What is on the screen is said again when the language changes, so each element is told a key and not a sentence.

import { keep, recall } from './storage.js';

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
  'close-slow': ['This page was too slow to read along.', '此页面接收消息太慢，已被断开。'],
  'close-slow-message': ['A message took too long to be sent.', '消息发送超时。'],
  'close-reason': ['The server closed the connection ({reason}).', '服务器关闭了连接（{reason}）。'],
  'not-connected': ['Not connected', '未连接'],

  // Why it cannot connect: in the header, and what can be done about it in the alarm below. `host`, `path` and `origin` are parts
  // of the page's own address, `flag` is one of roomd's.
  'offline': ['This device is offline.', '此设备已离线。'],
  'refused': ['The server refuses this page.', '服务器拒绝了此页面的连接。'],
  'too-large': ['The request is too large.', '请求过大。'],
  'login': ['You are not logged in.', '尚未登录。'],
  'denied': ['Access is denied.', '访问被拒绝。'],
  'nowhere': ['There is no room at this address.', '此地址没有聊天室。'],
  'blocked': ['The connection is blocked on the way.', '连接中途被拦截。'],
  'too-often': ['Too many requests.', '请求过于频繁。'],
  'gateway': ['The server is not running.', '服务器没有运行。'],
  'other': ['The server answers with an error.', '服务器返回了错误。'],
  'advice-unreachable': [
    'Nothing answers at {host}: the network is down, the server is, or its certificate is not accepted. For the operator: is roomd running, and the proxy in front of it?',
    '{host} 没有响应：可能是网络中断、服务器停止运行，或其证书不被接受。管理员请检查：roomd 及其前面的代理是否在运行。',
  ],
  'advice-origin': [
    'This page comes from {origin}, but its requests reach the server with another Host. For the operator: let the proxy pass on the Host header as it is, or start roomd with {flag}.',
    '此页面来自 {origin}，但请求到达服务器时 Host 已变成另一个主机名。管理员请让代理原样转发 Host 请求头，或在启动 roomd 时加上 {flag}。',
  ],
  'advice-too-large': [
    'The browser sends more with each request than the server takes: most likely cookies. Delete the cookies of {host} and reload the page. For the operator: give other programs’ cookies a path of their own, or allow larger requests ({flag}, and the proxy’s own limit).',
    '浏览器随请求发送的数据超出了服务器的上限，通常是 Cookie 过多。请删除 {host} 的 Cookie，然后刷新页面。管理员请为其他程序的 Cookie 单独设置路径，或调高上限（{flag} 以及代理的相应设置）。',
  ],
  'advice-login': [
    'A proxy in front of the room wants a login. Reload the page to log in.',
    '聊天室前面的代理要求登录。请刷新页面并登录。',
  ],
  'advice-denied': [
    'A proxy in front of the room does not let this request pass (status {status}). For the operator: what does the proxy allow for {path}?',
    '聊天室前面的代理不允许此请求通过（状态码 {status}）。管理员请检查代理对 {path} 的访问规则。',
  ],
  'advice-nowhere': [
    'The server knows no address {path} (status {status}). For the operator: the proxy must pass on to roomd all that is below the page’s own path, and take off what it has added in front.',
    '服务器上没有地址 {path}（状态码 {status}）。管理员请让代理把此页面所在路径下的全部请求转发给 roomd，并去掉代理自己加上的前缀。',
  ],
  'advice-blocked': [
    'The server answers plain requests, but no WebSocket comes through. For the operator: the proxy must pass on WebSockets, with the headers Upgrade and Connection. If it does, a firewall or an extension of this browser may be in the way.',
    '服务器能响应普通请求，但 WebSocket 无法连通。管理员请让代理支持 WebSocket，转发 Upgrade 和 Connection 请求头。如果代理没有问题，可能是防火墙或浏览器扩展拦截了连接。',
  ],
  'advice-too-often': [
    'The proxy in front of the room takes no more requests from here for now (status {status}). The page tries again by itself.',
    '聊天室前面的代理暂时不再接受来自这里的请求（状态码 {status}）。页面会自动重试。',
  ],
  'advice-full': [
    'As many are connected as the server takes. The page tries again by itself. For the operator: {flag} sets how many.',
    '连接数已达服务器上限。页面会自动重试。管理员可用 {flag} 调整上限。',
  ],
  'advice-gateway': [
    'The proxy at {host} answers, but the chat server behind it does not (status {status}). For the operator: is roomd running, and is it listening where the proxy looks for it?',
    '{host} 的代理有响应，但它后面的聊天服务器没有响应（状态码 {status}）。管理员请检查：roomd 是否在运行，监听的地址与代理配置是否一致。',
  ],
  'advice-other': [
    'The server answers this page’s request with status {status}. {sentence}',
    '服务器对此页面的请求返回了状态码 {status}。{sentence}',
  ],
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
  'reset-epoch': ['The server has lost or restored its history; what was here before may not be on it', '服务器丢失或恢复过聊天记录，之前显示的消息可能已不在其中'],
  'reset-unreadable': ['Earlier messages cannot be read from the server right now', '服务器暂时无法读取更早的消息'],
  'away': ['You were away for long: these are the newest messages', '你离开的时间较长，这里只显示最新的消息'],
  'damaged': ['This message is damaged on the server and cannot be read.', '这条消息在服务器上已损坏，无法读取。'],
  'who': ['Here now: {names}', '当前在线：{names}'],
  'who-more': ['Here now, {n} in all: {names} …', '当前共 {n} 人在线：{names} …'],
  'namesake': ['(another person, {tag})', '（另一个人，{tag}）'],
  'namesake-untagged': ['(another person)', '（另一个人）'],
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
  'roster-large': [
    '{n} person is here.|{n} people are here, too many to list.',
    '房间里有 {n} 人。|房间里有 {n} 人，人数较多，不逐一列出。',
  ],
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
  'notify-more': ['{n} more message for you in {room}|{n} more messages for you in {room}', '{room} 中另有 {n} 条与你有关的消息'],
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
  'text-only': ['Files cannot be sent here, only text.', '这里只能发送文字，不能发送文件。'],
  'suggestions': ['Suggestions', '建议'],
  'emoji': ['Emoji', '表情'],
  'emoji-faces': ['Faces', '表情'],
  'emoji-people': ['Hands and people', '手势与人物'],
  'emoji-nature': ['Animals and nature', '动物与自然'],
  'emoji-food': ['Food and drink', '食物与饮料'],
  'emoji-going': ['Going out', '出行与活动'],
  'emoji-signs': ['Hearts and signs', '爱心与符号'],

  // The commands: their arguments, and what they do.
  'pong': ['The server hears you.', '服务器有响应。'],
  'help': ['What you can type', '可以输入的命令'],
  'args-nick': ['NAME', '名字'],
  'args-join': ['ROOM', '房间'],
  'args-msg': ['NAME TEXT', '名字 内容'],
  'args-me': ['ACTION', '动作'],
  'args-who': ['', ''],
  'args-ping': ['', ''],
  'args-help': ['', ''],
  'does-nick': ['take another name', '改名'],
  'does-join': ['go to another room', '进入另一个房间'],
  'does-msg': ['write to one person', '私聊某人'],
  'does-me': ['say what you do', '描述你的动作'],
  'does-who': ['see who is here', '看看谁在线'],
  'does-ping': ['see whether the server hears you', '看看服务器是否有响应'],
  'does-help': ['see the commands', '查看命令'],

  // What the server refuses, by the code of its error. Its own sentence is English already, so only Chinese needs one.
  'error-binary-not-accepted': ['', '本房间只接受文字消息。'],
  'error-unknown-command': ['', '没有这个命令。输入 /help 查看全部命令。'],
  'error-mistyped-command': ['', '这看起来是一条 /msg 私聊消息，但开头不是斜杠，因此没有发给任何人。如果确实要公开发送，请在开头的符号后加一个空格。'],
  'error-bad-arguments': ['', '命令的参数缺失或有误。输入 /help 查看用法。'],
  'error-bad-name': ['', '不能用这个名字：须为 1 到 32 个普通字符，且不能是“Tourist 数字”。'],
  'error-name-taken': ['', '这个名字已有人使用。'],
  'error-name-too-similar': ['', '这个名字与房间里某人的名字太相似。'],
  'error-no-such-name': ['', '房间里没有叫这个名字的人。'],
  'error-receiver-busy': ['', '对方还有太多内容未接收，这条私信没有发出。请稍后再试。'],
  'error-bad-room': ['', '房间名无效：须为 1 到 64 字节，且不含“/”和不可见字符。'],
  'error-too-many-rooms': ['', '房间数量已达上限。'],
  'error-bad-since': ['', '请求的消息编号无效。'],
  'error-since-in-future': ['', '请求的消息尚不存在。'],
  'error-bad-me': ['', '身份密钥无效：须为 16 到 128 个可打印的 ASCII 字符，且不含空格。'],
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
