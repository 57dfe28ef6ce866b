// Each function of the page that looks at a text is given hostile ones, which are doubled twice. Over both doublings the time may
// grow by less than 3 each: a browser that collects its garbage just then can spoil one of them, what is quadratic spoils both.
// It comes to the number of cases; hold(nth) then comes to a line if that one is not linear, and to nothing else.
(async () => {
  const SHORT = 16_384; // doubled twice, this is 64 Ki
  const SHORT_ON_SCREEN = 4_096; // the browser's own layout of 64 KiB takes seconds
  const TIMES_AS_LONG = 4;
  const TIMES_AS_SLOW = 3 * 3; // linear is 4, and quadratic is 16
  const TIMES_AS_SLOW_ON_SCREEN = 3.5 * 3.5; // the browser's own layout of a long text grows a little faster than the text
  // The shorter text is gone through again and again, until it takes so long: five steps of the clock. A longer time is rarely had
  // in one piece on a busy machine.
  const TICK_MS = 0.5;
  const MOST_TIMES = 4096; // what is so fast that it takes no such time even then does not look at the whole text
  const FEWEST_ROUNDS = 3;
  const MOST_MS = 15_000; // so long a busy machine may spoil the figures. What is quadratic fails each time
  const REST_MS = 5; // one who has rested is given the processor at once, and for a while

  const text = await import(new URL('text.js', document.querySelector('script').src).href);
  const timeline = await import(new URL('timeline.js', document.querySelector('script').src).href);
  const box = document.querySelector('#text');

  const took = (run, times) => {
    const begun = performance.now();
    for (let time = 0; time < times; time += 1) run();
    return performance.now() - begun;
  };
  const timesFor = (run) => {
    let times = 1;
    while (times < MOST_TIMES && Math.min(took(run, times), took(run, times)) < TICK_MS) times *= 2;
    return times;
  };
  const rest = () => new Promise((done) => setTimeout(done, REST_MS));
  const cases = [];
  const hold = (what, make, run, length = SHORT) => cases.push({ what, make, run, length });
  const measure = async ({ what, make, run, length }) => {
    const [short, long] = [make(length), make(TIMES_AS_LONG * length)];
    let times = timesFor(() => run(short));
    const most = length === SHORT_ON_SCREEN ? TIMES_AS_SLOW_ON_SCREEN : TIMES_AS_SLOW;
    let least = [Infinity, Infinity];
    const end = performance.now() + MOST_MS;
    for (let round = 1; round <= FEWEST_ROUNDS || performance.now() < end; round += 1) {
      if (round > FEWEST_ROUNDS) await rest();
      least[0] = Math.min(least[0], took(() => run(short), times));
      // The browser has compiled it by now, and it has become too fast for its clock: all begins again, with more of it.
      while (least[0] < TICK_MS && times < MOST_TIMES) {
        times *= 2;
        least = [took(() => run(short), times), Infinity];
      }
      if (round > FEWEST_ROUNDS) await rest();
      least[1] = Math.min(least[1], took(() => run(long), times));
      if (round >= FEWEST_ROUNDS && least[1] < most * Math.max(least[0], TICK_MS / 2)) return '';
    }
    return `${what}: ${least.map((ms) => `${ms.toFixed(1)} ms`).join(', ')} for ${times}`;
  };

  const UNITS = [
    ')', ':)', '([{', ')]}', '"', '\\', '`', '*_~', 'a', 'a.', '@', '/', '-', ' ', '\n', 'http://', 'https://a.example ', 'http://a.example/(',
    '好', 'a好', '好.', '\u0301', '\u034F\u0301', '\u200D', '\u202E', 'さくら', 'アンナ', '민수', 'สมชาย', 'राम', '👩\u200D', '🇨🇳', '\uFDFA', '\uD83D',
    'I\u0307', 'Σ',
  ];
  const TYPED = ['a', ' ', '\n', '"', '\\', '"\\', '/', '好', '\u0301', '\u200B', '\uDC00', '／'];
  const repeated = (before, unit, after = '') => (length) => before + unit.repeat(Math.ceil(length / unit.length)) + after;
  const mixed = (before) => (length) => before + Array.from({ length }, (_, at) => String.fromCharCode(0x4E00 + ((at * 7919) % 20_000))).join('');
  const name = (unit) => unit.repeat(Math.ceil(4 / unit.length)).trim() || 'Ann';
  const show = (before, unit) => JSON.stringify(before + unit);

  for (const unit of UNITS) {
    for (const before of ['http://a', 'http://a/']) hold(`pieces ${show(before, unit)}`, repeated(before, unit, 'x'), text.pieces);
    hold(`isMentioned ${show('', unit)}`, repeated('', unit), (said) => text.isMentioned(said, `${name(unit)}x`));
    hold(`isMentioned within ${show('a', unit)}`, repeated('a', unit, 'a'), (said) => text.isMentioned(said, name(unit)));
  }
  for (const unit of TYPED) {
    for (const run of [text.recipientBegun, text.withoutRecipient]) {
      for (const before of ['/msg ', '/msg "']) hold(`${run.name} ${show(before, unit)}`, repeated(before, unit, 'x""'), run);
    }
    for (const run of [text.commandOf, text.folded, text.isLong, text.hueOf, text.quoted]) {
      hold(`${run.name} ${show('', unit)}`, repeated('', unit), run);
    }
    for (const after of ['', '\n']) hold(`lastWordAt ${show('', unit + after)}`, repeated('', unit, after), text.lastWordAt);
    hold(`clipped ${show('', unit)}`, repeated('', unit), (long) => text.clipped(long, 200));
  }
  for (const unit of [' ', 'a', ' a']) hold(`commandOf ${show('、msg', unit)}`, repeated('、msg ', unit), text.commandOf);
  hold('pieces of a host', mixed('http://'), text.pieces);
  hold('isMentioned among words', mixed(''), (said) => text.isMentioned(said, '好'));
  hold('isMentioned with all kinds of marks', (length) => 'a' + '\u0301\u0323'.repeat(length / 2) + ' Ann', (said) => text.isMentioned(said, 'Ann'));
  hold('asText', (length) => JSON.parse('['.repeat(length / 16) + ']'.repeat(length / 16)), text.asText);
  hold('asText of objects', (length) => Array.from({ length }, () => ({})), text.asText);

  // With the elements and their place on the screen.
  const shown = (said) => {
    timeline.addOlder([{ kind: 'message', id: 1, time: new Date(), name: said.slice(0, 100), text: said, mine: false }], false);
    document.querySelector('#view').getBoundingClientRect();
    timeline.clearTimeline();
  };
  for (const unit of ['a', '\n', 'http://a.example ', '好', '\u0301', '\u202E']) {
    hold(`shown ${show('', unit)}`, repeated('', unit), shown, SHORT_ON_SCREEN);
  }
  hold('shown as a list', (length) => Array.from({ length: length / 32 }, (_, at) => at + 1), (ids) => {
    const line = { kind: 'message', time: new Date(0), name: 'Ann', text: 'http://a.example/', mine: false };
    timeline.addOlder(ids.map((id) => ({ ...line, id })), false);
    timeline.clearTimeline();
  }, SHORT_ON_SCREEN);
  const typed = (draft) => {
    box.value = draft;
    box.dispatchEvent(new Event('input'));
  };
  for (const [before, unit] of [['/msg ', ' '], ['/', 'a'], ['/msg "', '\\'], ['', '好']]) {
    hold(`typed ${show(before, unit)}`, repeated(before, unit, 'x'), typed, SHORT_ON_SCREEN);
  }
  window.hold = (nth) => measure(cases[nth]);
  return cases.length;
})()
