import type { NoteSigner } from '../../rails/tlog/note.js';

/**
 * The key of the audit log, for the one unit that signs. It is fetched when it is first asked for: a process that runs other roles needs none, and
 * is not given any (law C3).
 */
export class LogSigner {
  #signer: NoteSigner | undefined;

  constructor(private readonly open: () => NoteSigner) {}

  /** @throws CONFIG_SECRET_MISSING, CONFIG_INVALID */
  get signer(): NoteSigner {
    this.#signer ??= this.open();
    return this.#signer;
  }
}
