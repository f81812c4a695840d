// This module runs in every runtime.

/** The version of this package; a check keeps it the manifests'. */
export const VERSION = "0.1.0";
