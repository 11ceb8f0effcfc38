package nodeimage

import (
	"slices"
	"testing"
)

func TestMountPoints(t *testing.T) {
	t.Parallel()
	const mountinfo = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
757 22 0:160 / /cache/unfinished-rootfs-1/root/proc rw,relatime - proc proc rw
758 757 0:161 / /cache/unfinished-rootfs-1/root/proc/sys ro - proc proc rw
759 22 0:162 / /cache/unfinished-rootfs-12/root/proc rw - proc proc rw
760 22 0:163 / /cache/unfinished-rootfs-1/with\040space rw - tmpfs tmpfs rw
761 22 0:164 / /cache/unfinished-rootfs-1 rw - tmpfs tmpfs rw
malformed
`
	want := []string{"/cache/unfinished-rootfs-1/root/proc", "/cache/unfinished-rootfs-1/root/proc/sys", "/cache/unfinished-rootfs-1/with space"}
	if got := mountPoints(mountinfo, "/cache/unfinished-rootfs-1"); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
