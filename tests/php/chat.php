<?php
// WRONG ON PURPOSE: a chat server the way tutorials of the 2010s taught it. It is here to be looked at beside roomd,
// and for nothing else: tests/php_defects.rs sends both the same bytes, and holds both to what they make of them.
//
//     php -n -d extension=sockets tests/php/chat.php [PORT]
//
// It listens on 127.0.0.1, at a free port if none is given, and says which on standard error. The structure and the
// names of the functions are those of a tutorial of 2016; the lines are new. Each mistake is kept and has its number,
// d01 to d20, which its tests have, too. Only what PHP 8 would not run at all is different: a connection's number is
// that of its object, since a cast gives all of them the same (d17).
//
// The right way, in the same language, is in tests/bench/peers/chat.php.

const KEY_HEADER = 'Sec-WebSocket-Key:';
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function say(string $line): void
{
    fwrite(STDERR, "$line\n");
}

function numberOf(Socket|false $socket): int
{
    return $socket === false ? 0 : spl_object_id($socket);
}

final class ChatServer
{
    private Socket $door;
    private array $everyone; // d18: who is in here stays in here
    private array $greeted = []; // d18: the same

    public function __construct(string $host, int $port)
    {
        $this->door = $this->createSocket($host, $port);
        $this->everyone = [$this->door];
        socket_getsockname($this->door, $host, $port);
        say("listening on http://$host:$port/");
    }

    public function createSocket(string $host, int $port): Socket
    {
        $made = socket_create(AF_INET, SOCK_STREAM, SOL_TCP); // d14: it blocks, and so do those that it accepts
        socket_set_option($made, SOL_SOCKET, SO_REUSEADDR, 1);
        socket_bind($made, $host, $port) || exit(1);
        socket_listen($made); // backlog: none is named, which means 0: one may wait, no second
        return $made;
    }

    public function run(): never
    {
        $newest = null;
        while (true) {
            $ready = $this->everyone;
            $nobody = null;
            socket_select($ready, $nobody, $nobody, null); // d20: no deadline for anybody. d18: not above 1023
            foreach ($ready as $one) {
                if ($one === $this->door) {
                    $newest = socket_accept($this->door);
                    if ($newest < 0) { // d15: what says failure is `false`, and that is not below 0
                        say('nobody was accepted');
                    } else {
                        $this->everyone[] = $newest; // d20: from anywhere, any number
                        say('accepted, ' . (count($this->everyone) - 1) . ' so far');
                    }
                    continue;
                }
                $count = socket_recv($one, $bytes, 20480, 0); // d05, d06, d13: a read is a frame, or a head
                if ($count < 7) { // d03: 0 is the end of a stream. d04: 6 is a frame without a payload
                    if ($count > 0) {
                        say("passed over $count bytes");
                    }
                    continue;
                }
                if (empty($this->greeted[numberOf($newest)])) { // d01, d02: it is $one who has said something
                    $this->hands($newest, $bytes, $one);
                } else {
                    $this->send($this->decodeData($bytes), $one);
                }
            }
        }
    }

    /** Shakes hands. */
    public function hands(Socket|false $newest, string $request, Socket $one): void
    {
        // d12, d13: where the header is not found, in these very letters, `false` and 18 make 18. d20: and Origin?
        $behind = substr($request, strpos($request, KEY_HEADER) + strlen(KEY_HEADER));
        $key = trim(explode("\r\n", $behind, 2)[0]);
        $lines = [
            'HTTP/1.1 101 Switching Protocols',
            'Connection: Upgrade',
            'Upgrade: websocket',
            'Sec-WebSocket-Accept: ' . base64_encode(sha1($key . GUID, true)),
        ];
        socket_write($one, implode("\r\n", $lines) . "\r\n\r\n");
        $this->greeted[numberOf($newest)] = true; // d01, d02: and here it is written down for another
        say('shook hands');
    }

    /** What a frame says; null if it is no text. */
    public function decodeData(string $frame): ?array
    {
        if ((ord($frame[0]) & 15) !== 1) { // d10, d11: all other kinds are alike. d16: FIN and RSV are not looked at
            return null;
        }
        $mask = substr($frame, 2, 4); // d08: it is further back in a frame of 126 bytes. d16: there may be none
        $masked = substr($frame, 6); // d05, d06: to the end of the read, whatever the length says
        $text = $masked ^ str_repeat($mask, intdiv(strlen($masked), 4) + 1);
        return ['mess' => str_split($text, 125)[0]]; // d09: the rest is lost, and the last character may be cut in two
    }

    /** Tells everybody. */
    public function send(?array $event, Socket $one): void
    {
        $event['name'] = 'Visitor of the socket number #' . numberOf($one); // d17: nobody has a name
        $json = json_encode($event); // d09, d16: `false` where the text is not UTF-8
        $frame = "\x81" . chr(strlen($json)) . $json; // d07: from 126 on this byte means something else
        foreach ($this->everyone as $each) {
            if (!empty($this->greeted[numberOf($each)])) {
                socket_write($each, $frame); // d14: waits until this one has read; how much was taken is not looked at
            }
        }
        say('told everybody');
    }
}

(new ChatServer('127.0.0.1', (int) ($argv[1] ?? 0)))->run();
