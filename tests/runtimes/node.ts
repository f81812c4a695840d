import { test } from "node:test";
import { portableSuites } from "../suites.ts";

const runtime = `node${process.versions.node.split(".")[0]}`;
for (const suite of portableSuites) suite({ runtime, test: (name, body) => void test(name, body) });
