import { Type } from '@sinclair/typebox';
import { closed, type Sealed } from '../../rails/schema.js';

/** A secret is never written down: it is the name of a place (law C3). */
export const SecretRefSchema = Type.Union([
  closed({ env: Type.String({ minLength: 1, maxLength: 200 }) }),
  closed({ file: Type.String({ minLength: 1, maxLength: 1_000 }) }),
]);
export type SecretRef = Sealed<typeof SecretRefSchema>;

/**
 * Fetches secrets of a unit by reference, each time they are needed: one that was changed takes effect at once, and nobody keeps one. A process
 * that runs other roles asks for none.
 */
export abstract class Secrets {
  /** @throws CONFIG_SECRET_MISSING, without the secret in its words */
  abstract read(ref: SecretRef): string;
}
