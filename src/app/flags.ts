/** What every command that reads a profile understands. */
export interface ProfileFlags {
  readonly profile: string;
  readonly data: string;
}

export interface ServeFlags extends ProfileFlags {
  readonly role: string;
  readonly port?: number;
  readonly json?: boolean;
}
