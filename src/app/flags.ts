/** What every command that reads a profile understands. */
export interface ProfileFlags {
  readonly profile: string;
  readonly data: string;
}

export interface ServeFlags extends ProfileFlags {
  readonly role: string;
  readonly port?: number;
  readonly json?: boolean;
  /** False with --no-demo. */
  readonly demo: boolean;
  readonly once?: boolean;
}

/** What every command that talks to running processes understands. */
export interface DoorFlags extends ProfileFlags {
  /** A process that serves all roles of the command; those of the data folder unless given. */
  readonly url?: string;
  readonly keyFile?: string;
}

export interface StreamFlags {
  /** `fast`, `realtime` or a factor: `60x`. */
  readonly pace?: string;
}

export interface ImportFlags extends DoorFlags, StreamFlags {
  readonly preset?: string;
  readonly map?: string;
  readonly name?: string;
  readonly dryRun?: boolean;
  readonly rows: number;
  /** False with --no-stream. */
  readonly stream: boolean;
  readonly supersede?: string;
}

export interface GenerateFlags extends DoorFlags, StreamFlags {
  readonly pack: string;
  readonly seed: string;
  readonly set: readonly string[];
  readonly name?: string;
  readonly stream: boolean;
  readonly supersede?: string;
}

export interface RunStartFlags extends DoorFlags {
  readonly live?: string;
  readonly world?: string;
  readonly equivalenceKey?: string;
  readonly strategy: string;
  readonly wait?: boolean;
}

export interface IngestFlags extends DoorFlags {
  readonly envelopes?: boolean;
  readonly run?: string;
}
