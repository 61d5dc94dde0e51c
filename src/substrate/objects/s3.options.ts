export interface S3ObjectsOptions {
  /** Where the server is; leave it out for AWS. */
  readonly endpoint?: string;
  /** The bucket's region: AWS and some servers refuse requests that are signed for another. */
  readonly region: string;
  readonly bucket: string;
  /** Servers other than AWS rarely have a host name per bucket. */
  readonly forcePathStyle: boolean;
  /** Make the bucket when it is missing; false where the platform's user may not. */
  readonly createBucket: boolean;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** A folder of a local disk for streams that are put: S3 wants their digest and length before their first byte. */
  readonly spoolFolder: string;
  /** What all streams being put may take there together (default 64 GiB). */
  readonly spoolBytesMax?: number;
  /** Larger objects go up in parts; S3 takes 5 GiB (the default) in one request. */
  readonly singlePutBytesMax?: number;
  /** Requests at a time (default 64); others wait. */
  readonly socketsMax?: number;
  /** Trials of one request (default 3), with growing pauses between them. */
  readonly attemptsMax?: number;
  readonly connectionTimeoutMs?: number;
  /** A connection over which nothing came or went for so long is given up (default 15 s, so 45 s for all trials of a request). */
  readonly idleTimeoutMs?: number;
}

/** The client writes to the console of the process about every stream that it cannot send again, unless it has this. */
export const SILENT = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {
  // What matters comes back as an error.
}
