/** A secret of the installation. `name` says which, for people; the value is never told. */
export interface NamedSecret {
  readonly name: string;
  readonly value: string;
}

/** Of an API key or a signing key what is secret in it, without the name that everybody may see. */
export function secretPartOf(key: string): string {
  const [, secret] = /^(?:pk_[a-z0-9-]+_|PRIVATE\+KEY\+[^+]+\+[0-9a-f]{8}\+)(.+)$/.exec(key) ?? [];
  return secret ?? key;
}

/** Shorter than this, and it would be found by chance. */
export const SECRET_CHARS_MIN = 8;

/** What looks like a secret, whoever it belongs to: names of the shapes, never what they hold. */
const SHAPES: readonly (readonly [string, RegExp])[] = [
  ['a private key', /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----/],
  ['a private key of a log', /PRIVATE\+KEY\+[^\s+]{1,200}\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{40}/],
  ['an API key', /pk_[a-z0-9][a-z0-9-]{0,39}_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])/],
  ['a signed token', /eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,2000}/],
];

/**
 * Looks for secrets in bytes: as they are, and as base64, hexadecimal digits and percent-encoding would write them. Pure; knows no place.
 */
export class Needles {
  readonly #needles: readonly { readonly name: string; readonly bytes: Buffer }[];
  /** So many bytes of one piece must be looked at together with the next one. */
  readonly overlap: number;
  /** Too short to be looked for. */
  readonly short: readonly string[];

  constructor(secrets: readonly NamedSecret[]) {
    const long = secrets.filter(({ value }) => value.length >= SECRET_CHARS_MIN);
    this.short = secrets.filter(({ value }) => value.length < SECRET_CHARS_MIN).map(({ name }) => name);
    this.#needles = long.flatMap(({ name, value }) => formsOf(value).map((bytes) => ({ name, bytes })));
    this.overlap = Math.max(4_096, ...this.#needles.map(({ bytes }) => bytes.byteLength));
  }

  /** Names of what stands in these bytes, each once. */
  in(bytes: Buffer): ReadonlySet<string> {
    const found = new Set<string>();
    for (const { name, bytes: needle } of this.#needles) if (bytes.includes(needle)) found.add(name);
    // Latin-1 keeps a character per byte: the shapes are of ASCII alone.
    const text = bytes.toString('latin1');
    for (const [name, shape] of SHAPES) if (shape.test(text)) found.add(name);
    return found;
  }
}

function formsOf(value: string): readonly Buffer[] {
  const raw = Buffer.from(value);
  const forms = new Set([value, raw.toString('hex'), encodeURIComponent(value), JSON.stringify(value).slice(1, -1)]);
  // Three ways to stand among other bytes; what depends on the neighbours is left away.
  for (const lead of [0, 1, 2]) {
    const encoded = Buffer.concat([Buffer.alloc(lead), raw])
      .toString('base64')
      .replace(/=+$/, '');
    const stable = encoded.slice(lead === 0 ? 0 : lead + 1, raw.byteLength % 3 === 0 && lead === 0 ? undefined : -1);
    if (stable.length >= SECRET_CHARS_MIN) forms.add(stable).add(stable.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return [...forms].map((form) => Buffer.from(form));
}
