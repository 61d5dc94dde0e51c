import type { Brand } from './brand.js';
import type { Digest } from './digest.js';

/** The key of an object in the platform's object store, prefix included: `ig/quarantine/…`. */
export type ObjectKey = Brand<string, 'ObjectKey'>;

/** How a payload-sized thing travels (law R4): where it stands, what its bytes are, how many, and of which kind. */
export interface Ref {
  readonly locator: ObjectKey;
  readonly digest: { readonly algo: 'sha256'; readonly hex: Digest };
  /** Bytes. */
  readonly size: number;
  readonly media_type: string;
}
