/** What this process is, for receipts and records that must say by what they were made (law O1). */
export class About {
  constructor(
    /** The program's version. */
    readonly version: string,
    /** The environment that the profile names: `local`, `dev`, `prod`. For records alone; nothing decides by it (law E1). */
    readonly env: string,
    readonly pid: number,
  ) {}
}
