/** The files of one member on disk, as its Secret gives them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Material, writeMaterial } from '../probe/servers.ts';

export class Files {
  readonly dir = mkdtempSync(path.join(tmpdir(), 'files-'));

  constructor(material: Material) {
    this.write(material);
  }

  write(material: Material): void {
    writeMaterial(this.dir, material);
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
