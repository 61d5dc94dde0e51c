import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { ProbityError } from '../errors/probity-error.js';

/** Signed notes with Ed25519 (C2SP signed-note): a text, an empty line, and one line per signature. */

const ED25519 = 1;
const SIGNATURE_BYTES = 64;
/** What stands before the 32 bytes of a key in DER. */
const PUBLIC_DER = Buffer.from('302a300506032b6570032100', 'hex');
const PRIVATE_DER = Buffer.from('302e020100300506032b657004220420', 'hex');
const NAME = /^[^\s+]{1,200}$/u;

export interface NoteVerifier {
  readonly name: string;
  /** `<name>+<hash>+<key>`, as tools of other people take it. */
  readonly text: string;
  /** Whether the note carries a signature of this key over its text. */
  isSigned(note: string): boolean;
}

export interface NoteSigner {
  readonly verifier: NoteVerifier;
  /** @param text ends with a line break, and has no empty line at its end */
  sign(text: string): string;
}

/** `PRIVATE+KEY+<name>+<hash>+<key>`: the one form in which a signing key is kept. @throws CONFIG_INVALID, without quoting it */
export function noteSigner(text: string): NoteSigner {
  const match = /^PRIVATE\+KEY\+([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/u.exec(text.trim());
  const [, name = '', hash = '', encoded = ''] = match ?? [];
  const bytes = Buffer.from(encoded, 'base64');
  if (match === null || bytes.length !== 33 || bytes[0] !== ED25519) throw unusable('signing key');
  const key = createPrivateKey({ key: Buffer.concat([PRIVATE_DER, bytes.subarray(1)]), format: 'der', type: 'pkcs8' });
  const publicBytes = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(PUBLIC_DER.length);
  const verifier = verifierOf(name, publicBytes);
  if (verifier.hash !== hash) throw unusable('signing key');
  return {
    verifier,
    sign: (note) => {
      const signature = sign(null, Buffer.from(note), key);
      const line = Buffer.concat([Buffer.from(hash, 'hex'), signature]).toString('base64');
      return `${note}\n\u2014 ${name} ${line}\n`;
    },
  };
}

/** A new signing key from 32 random bytes. */
export function signingKeyText(name: string, seed: Uint8Array): string {
  if (!NAME.test(name) || seed.byteLength !== 32) throw unusable('signing key');
  const key = createPrivateKey({ key: Buffer.concat([PRIVATE_DER, seed]), format: 'der', type: 'pkcs8' });
  const publicBytes = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(PUBLIC_DER.length);
  const encoded = Buffer.concat([Buffer.of(ED25519), seed]).toString('base64');
  return `PRIVATE+KEY+${name}+${verifierOf(name, publicBytes).hash}+${encoded}`;
}

/** @throws CONFIG_INVALID for what is no key of this kind */
export function noteVerifier(text: string): NoteVerifier {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/u.exec(text.trim());
  const [, name = '', hash = '', encoded = ''] = match ?? [];
  const bytes = Buffer.from(encoded, 'base64');
  if (match === null || bytes.length !== 33 || bytes[0] !== ED25519) throw unusable('public key');
  const verifier = verifierOf(name, bytes.subarray(1));
  if (verifier.hash !== hash) throw unusable('public key');
  return verifier;
}

/** The text of a note without its signatures; null for what is no note. */
export function noteText(note: string): string | null {
  const at = note.lastIndexOf('\n\n');
  if (at < 0) return null;
  return note.slice(0, at + 1);
}

function verifierOf(name: string, publicBytes: Buffer): NoteVerifier & { readonly hash: string } {
  const typed = Buffer.concat([Buffer.of(ED25519), publicBytes]);
  const hash = createHash('sha256').update(`${name}\n`).update(typed).digest().subarray(0, 4);
  const key: KeyObject = createPublicKey({
    key: Buffer.concat([PUBLIC_DER, publicBytes]),
    format: 'der',
    type: 'spki',
  });
  return {
    name,
    hash: hash.toString('hex'),
    text: `${name}+${hash.toString('hex')}+${typed.toString('base64')}`,
    isSigned: (note) => {
      const text = noteText(note);
      if (text === null) return false;
      return note
        .slice(text.length + 1)
        .split('\n')
        .some((line) => {
          const [dash, signer, encoded = ''] = line.split(' ');
          const bytes = Buffer.from(encoded, 'base64');
          if (dash !== '\u2014' || signer !== name || bytes.length !== 4 + SIGNATURE_BYTES) return false;
          return bytes.subarray(0, 4).equals(hash) && verify(null, Buffer.from(text), key, bytes.subarray(4));
        });
    },
  };
}

function unusable(what: string): ProbityError {
  return new ProbityError('CONFIG_INVALID', `the ${what} of the audit log is not in the form of a signed note's key`);
}
