<?php
// A chat room on PHP's sockets extension: one socket_select() loop, as the tutorials have it, with what they lack to survive:
// sockets do not block, what cannot be written waits in a queue for the socket to become writable, frames may come in pieces
// or several at once, and lengths over 125 are understood. A message is framed once and written to every client at once.
//
// select() knows no descriptor above 1023 (FD_SETSIZE), so that this server is full at about a thousand clients.
const MOST_CLIENTS = 1010;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

$listener = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
socket_bind($listener, '127.0.0.1', 0);
socket_listen($listener, 4096);
socket_set_nonblock($listener);
socket_getsockname($listener, $host, $port);
fwrite(STDERR, "listening on http://127.0.0.1:$port/\n");

$sockets = [];   // by number
$unread = [];    // bytes of an unfinished frame or request head, by number
$unsent = [];    // bytes that a socket would not take, by number; only of those that owe
$is_open = [];   // who has shaken hands, by number
$last = 0;

function leave(int $n): void
{
    global $sockets, $unread, $unsent, $is_open;
    socket_close($sockets[$n]);
    unset($sockets[$n], $unread[$n], $unsent[$n], $is_open[$n]);
}

function send(int $n, string $bytes): void
{
    global $sockets, $unsent;
    if (isset($unsent[$n])) {
        $unsent[$n] .= $bytes;
        return;
    }
    $count = @socket_write($sockets[$n], $bytes);
    $count = $count === false ? 0 : $count; // full, or broken: the read will find out
    if ($count < strlen($bytes)) {
        $unsent[$n] = substr($bytes, $count);
    }
}

function frame(string $text): string
{
    $length = strlen($text);
    if ($length < 126) {
        return "\x81" . chr($length) . $text;
    }
    return $length < 65536 ? "\x81\x7e" . pack('n', $length) . $text : "\x81\x7f" . pack('J', $length) . $text;
}

function shake_hands(int $n): void
{
    global $unread, $is_open;
    [$head, $rest] = explode("\r\n\r\n", $unread[$n], 2) + [1 => null];
    if ($rest === null) {
        return;
    }
    if (!preg_match('/^Sec-WebSocket-Key:\s*(\S+)/mi', $head, $match)) {
        leave($n);
        return;
    }
    $accept = base64_encode(sha1($match[1] . GUID, true));
    send($n, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        . "Sec-WebSocket-Accept: $accept\r\n\r\n");
    $is_open[$n] = true;
    $unread[$n] = $rest;
}

function take_frames(int $n): void
{
    global $unread, $is_open;
    $bytes = $unread[$n];
    $at = 0;
    while (strlen($bytes) - $at >= 6) {
        $length = ord($bytes[$at + 1]) & 127;
        $mask_at = $at + 2;
        if ($length === 126) {
            $length = unpack('n', $bytes, $at + 2)[1];
            $mask_at = $at + 4;
        } elseif ($length === 127) {
            if (strlen($bytes) - $at < 14) {
                break;
            }
            $length = unpack('J', $bytes, $at + 2)[1];
            $mask_at = $at + 10;
        }
        if (strlen($bytes) < $mask_at + 4 + $length) {
            break;
        }
        $mask = substr($bytes, $mask_at, 4);
        $text = substr($bytes, $mask_at + 4, $length) ^ str_repeat($mask, intdiv($length, 4) + 1);
        $opcode = ord($bytes[$at]) & 15;
        $at = $mask_at + 4 + $length;
        if ($opcode === 8) {
            leave($n);
            return;
        }
        if ($opcode === 1) {
            $event = frame(json_encode(['mess' => $text, 'name' => "Tourist $n"]));
            foreach ($is_open as $each => $_) {
                send($each, $event);
            }
        }
    }
    $unread[$n] = substr($bytes, $at);
}

while (true) {
    $readable = $sockets;
    $readable[0] = $listener;
    $writable = array_intersect_key($sockets, $unsent);
    $except = null;
    if (socket_select($readable, $writable, $except, null) === false) {
        exit(1);
    }
    foreach ($writable as $n => $socket) {
        $count = @socket_write($socket, $unsent[$n]);
        if ($count === strlen($unsent[$n])) {
            unset($unsent[$n]);
        } elseif ($count) {
            $unsent[$n] = substr($unsent[$n], $count);
        }
    }
    if (isset($readable[0])) {
        unset($readable[0]);
        while ($socket = @socket_accept($listener)) {
            if (count($sockets) >= MOST_CLIENTS) {
                fwrite(STDERR, "full: select() takes no descriptor above 1023 (FD_SETSIZE)\n");
                socket_close($socket);
                continue;
            }
            socket_set_nonblock($socket);
            socket_set_option($socket, SOL_TCP, TCP_NODELAY, 1);
            $sockets[++$last] = $socket;
            $unread[$last] = '';
        }
    }
    foreach ($readable as $n => $socket) {
        $chunk = @socket_read($socket, 65536);
        if ($chunk === '' || ($chunk === false && socket_last_error($socket) !== SOCKET_EAGAIN)) {
            leave($n);
            continue;
        }
        $unread[$n] .= (string) $chunk;
        if (!isset($is_open[$n])) {
            shake_hands($n);
        }
        if (isset($is_open[$n])) {
            take_frames($n);
        }
    }
}
