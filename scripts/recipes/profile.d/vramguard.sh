# shellcheck shell=sh
# /etc/profile.d/vramguard.sh: watches the GPU programs of everybody who logs in. Settings stand in
# /etc/vramguard.conf. For services too, put the library's path into /etc/ld.so.preload instead: the loader
# then prints a line in front of each 32-bit program. Take the path out before you remove vramguard, else in
# front of every program.
case ":${LD_PRELOAD:-}:" in
*"/libvramguard.so:"*) ;;
*)
    for vramguard_path in /usr/local/lib/libvramguard.so /usr/lib/*-linux-gnu/libvramguard.so /usr/lib64/libvramguard.so; do
        if [ -r "$vramguard_path" ]; then
            export LD_PRELOAD="$vramguard_path${LD_PRELOAD:+:$LD_PRELOAD}"
            break
        fi
    done
    unset vramguard_path
    ;;
esac
