/**
 * What a secret looks like. Two nets, because each has holes: a key name says that its value is secret whatever it looks
 * like; a value's own form says it wherever it turns up: in an error message, a URL, a header that somebody logged whole.
 *
 * Every pattern is linear: no nested repetition, no repetition before an alternative that can match the same text, and
 * bounded where it could overlap itself. A log line must not be a way to hold up the process.
 */

export const REDACTED = '[redacted]';

/** Parts of key names, compared without case, dashes, dots, blanks and underscores: `X-Api-Key` and `apiKey` are one. */
const SECRET_KEY_PARTS = [
  'authorization',
  'password',
  'passwd',
  'passphrase',
  'secret',
  'apikey',
  'privatekey',
  'accesskey',
  'servicekey',
  'signingkey',
  'encryptionkey',
  'credential',
  'cookie',
  'bearer',
  'jwt',
] as const;

/** Words that are secret as a whole name or as its end: `token`, `id_token`, but not `tokens_total`. */
const SECRET_KEY_ENDINGS = ['token', 'tokens', 'pwd', 'pass', 'auth', 'sessionid', 'dsn'] as const;

/** A piece of each word above: most names of a log line have none, and are spared the closer look. */
const SECRET_KEY_HINT = /auth|pass|pwd|secret|token|key|cred|cookie|bearer|jwt|session|dsn/i;

/**
 * Whether what stands under this name is secret. Names that end in `key_id` hold the id of a secret, which is how logs and
 * records cite it (law C3).
 */
export function isSecretKey(name: string): boolean {
  if (!SECRET_KEY_HINT.test(name)) return false;
  const bare = name.toLowerCase().replace(/[^a-z0-9]/g, '');
  if (bare.endsWith('keyid')) return false;
  return (
    SECRET_KEY_PARTS.some((part) => bare.includes(part)) || SECRET_KEY_ENDINGS.some((ending) => bare.endsWith(ending))
  );
}

interface Pattern {
  readonly expression: RegExp;
  readonly replacement: string;
}

/** As long as the prefix is bounded and begins at a word's edge, a long text costs a few dozen steps per word. */
const NAME_IN_TEXT =
  '[a-z0-9_-]{0,40}(?:password|passwd|passphrase|pwd|secret|token|credentials?|api[_-]?key|private[_-]?key|access[_-]?key)';
const EDGE = '(^|[^a-z0-9_-])';
/** JSON within JSON doubles its backslashes each time: 63 before a quote are six levels. */
const IS = String.raw`(\\{0,63}["']?\s{0,4}[=:]\s{0,4})`;

/** Order matters: the longest things first, so that a part of one is not taken for a whole of another. */
const PATTERNS: readonly Pattern[] = [
  // Private keys and certificates alike; one that was cut off before its end is still a key.
  {
    expression: /-----BEGIN [A-Z0-9 ]{1,40}-----[\s\S]*?(?:-----END [A-Z0-9 ]{1,40}-----|$)/g,
    replacement: REDACTED,
  },
  // Our own API keys keep their id, which is how people speak of them.
  { expression: /pk_([a-z0-9][a-z0-9-]{0,39})_[A-Za-z0-9_-]{20,}/g, replacement: `pk_$1_${REDACTED}` },
  // A JWS or JWE in compact form: base64url of `{"`, then one or more further parts.
  { expression: /eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){1,4}/g, replacement: REDACTED },
  // A header may hold several secrets between commas and semicolons: all of it goes, to the end of the line or quote. A
  // quote after an equals sign opens a value of the header (`b="…"`) rather than ending it, so it and its value go too.
  {
    expression: new RegExp(
      String.raw`${EDGE}((?:proxy-)?authorization|(?:set-)?cookie)${IS}(?:\\{0,63}["'])?[^\r\n"\\]+` +
        String.raw`(?:(?<==)\\{0,63}"[^\r\n"\\]*\\{0,63}"[^\r\n"\\]*)*`,
      'gi',
    ),
    replacement: `$1$2$3${REDACTED}`,
  },
  {
    expression: /\b(bearer|basic)(?: |%20|\+){1,8}(?!\[redacted\]|pk_[a-z0-9-]{1,40}_\[redacted\])[^\s"',;]+/gi,
    replacement: `$1 ${REDACTED}`,
  },
  // scheme://user:password@host: up to the last @ of the word, for a password may hold @ and / unescaped.
  { expression: /([a-z][a-z0-9+.-]{1,20}:\/\/[^\s/:@"']{0,128}):[^\s"']{1,2048}@/gi, replacement: `$1:${REDACTED}@` },
  // password=…, "token": "…", api_key: '…'; with escaped quotes, as in JSON within JSON, up to a quote escaped alike.
  {
    expression: new RegExp(
      String.raw`${EDGE}(${NAME_IN_TEXT})${IS}(?!\[redacted\])` +
        String.raw`(?:(\\{1,63})"[\s\S]*?(?:(?<!\\)\4"|$)|"(?:[^"\\]|\\[\s\S])*|'(?:[^'\\]|\\[\s\S])*|[^\s"'&]+)`,
      'gi',
    ),
    replacement: `$1$2$3${REDACTED}`,
  },
];

/**
 * What every pattern needs somewhere. Most texts of a log line have none of it, and one look at them instead of seven
 * makes the line several times cheaper.
 */
const SUSPICIOUS = /-----BEGIN|pk_|eyJ|bearer|basic|:\/\/|[=:]/i;

/** The text with everything that looks like a secret replaced. */
export function redactText(text: string): string {
  if (!SUSPICIOUS.test(text)) return text;
  let clean = text;
  for (const { expression, replacement } of PATTERNS) clean = clean.replace(expression, replacement);
  return clean;
}
