// Why the page cannot connect, as far as it can be found out.
//
// A browser tells a page that its WebSocket has failed, and nothing more. A plain request to the same address takes the same
// way and meets the same proxies, and its answer can be read. roomd answers `?check=ORIGIN` as it would answer the handshake.

import { pathOf } from './address.js';

const CHECK_MS = 10_000; // a server that does not answer this either does not answer

// What each trouble is called in words.js: `say` stands in the header, `advice` in the alarm below it.
// `stays`: only a person can mend it, so it is said at once, and the next attempts are rarer. The others may be a server that is
// just being started again: they are said in the header, and get their advice only when they last. `isGuess`: said only then at
// all, for the server may have come back between the handshake and the question.
const TROUBLES = {
  'offline': { say: 'offline' },
  'no-answer': { say: 'no-answer', advice: 'advice-unreachable' },
  'unreachable': { say: 'unreachable', advice: 'advice-unreachable' },
  'origin': { say: 'refused', advice: 'advice-origin', flag: '--origin ORIGIN', stays: true },
  'too-large': { say: 'too-large', advice: 'advice-too-large', flag: '--max-head', stays: true },
  'login': { say: 'login', advice: 'advice-login', stays: true },
  'denied': { say: 'denied', advice: 'advice-denied', stays: true },
  'nowhere': { say: 'nowhere', advice: 'advice-nowhere', stays: true },
  'blocked': { say: 'blocked', advice: 'advice-blocked', isGuess: true },
  'too-often': { say: 'too-often', advice: 'advice-too-often', stays: true },
  'full': { say: 'close-1013', advice: 'advice-full', flag: '--max-connections', stays: true },
  'gateway': { say: 'gateway', advice: 'advice-gateway' },
  'other': { say: 'other', advice: 'advice-other' },
};

// Gives { say, advice, stays, values }.
export async function findTrouble(room) {
  const path = pathOf(room);
  const { origin, host } = location;
  const { kind, status = 0, sentence = '' } = await look(`${path}?check=${encodeURIComponent(origin)}`);
  const flag = (TROUBLES[kind].flag ?? '').replace('ORIGIN', origin);
  return { ...TROUBLES[kind], values: { origin, host, path, status: String(status), sentence, flag } };
}

async function look(address) {
  if (navigator.onLine === false) return { kind: 'offline' };
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), CHECK_MS);
  try {
    const answer = await fetch(address, { cache: 'no-store', redirect: 'manual', signal: stop.signal });
    const isOurs = answer.headers.get('Answered-By') === 'roomd';
    const sentence = isOurs ? (await answer.text()).trim() : answer.statusText;
    return { kind: isOurs ? kindOfOurs(answer.status) : kindOfOthers(answer), status: answer.status, sentence };
  } catch {
    // Nobody there, no way there, or a certificate that is not accepted: the page is not told which.
    return { kind: stop.signal.aborted ? 'no-answer' : 'unreachable' };
  } finally {
    clearTimeout(timer);
  }
}

// roomd itself has answered.
function kindOfOurs(status) {
  switch (status) {
    case 200: return 'blocked'; // it would have let us in, so the handshake did not come to it whole
    case 403: return 'origin';
    case 404: return 'nowhere';
    case 431: return 'too-large';
    case 503: return 'full';
    default: return 'other';
  }
}

// A proxy has answered, or a roomd that is older than this page.
function kindOfOthers({ status, type }) {
  if (type === 'opaqueredirect') return 'login'; // a WebSocket follows no redirection
  switch (status) {
    case 400: // nginx, Apache and HAProxy for a head that is too large; what else could be bad in a plain request?
    case 413:
    case 431:
    case 494: return 'too-large';
    case 401:
    case 407:
    case 511: return 'login';
    case 403: return 'denied';
    case 404:
    case 410: return 'nowhere';
    case 429: return 'too-often';
    case 200:
    case 405:
    case 426:
    case 501: return 'blocked';
    default: return status >= 502 ? 'gateway' : 'other'; // 502 to 504, and those between 520 and 530 of large proxies
  }
}
